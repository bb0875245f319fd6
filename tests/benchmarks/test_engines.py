"""The comparison of engines, without the engines: what is drawn, asked, divided and written."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.engines.__main__ import write_pages
from benchmarks.engines.agreement import compare_scores, ndcg
from benchmarks.engines.cases import (
    CASES,
    MINILM,
    Case,
    chosen_cases,
    make_passages,
    write_judged,
    write_lists,
)
from benchmarks.engines.comparing import agreement, takes_part
from benchmarks.engines.environments import PEERS, ROOT, PeerError
from benchmarks.engines.figures import best_peer, compared, percentile, ratios, spread
from benchmarks.engines.machine import describe_machine, kind_of
from benchmarks.engines.measuring import count_rounds, in_turn, measure_case
from benchmarks.engines.models import write_tokenizer
from benchmarks.engines.plots import draw_cost, draw_speed
from benchmarks.engines.process import PeerProcess, reason
from benchmarks.engines.shapes import modernbert, write_shape
from benchmarks.engines.sides import BUNDLED, EXACT, REFERENCE, SAME, SIDES, Side
from benchmarks.engines.tables import page

from crossrank import CrossEncoder
from crossrank.documents import Document
from crossrank.evaluation import Collection

GIBIBYTE = 2**30
# A library whose score of a passage is its length, and which says more than it should.
FAKE = """
import os, sys
sys.path.insert(0, {peers!r})
from answering import Peer, answer_requests, in_sorted_batches

def load(folder, setting, threads):
    print("a banner on standard output")
    if setting.get("load") == "fails":
        raise OSError("no model in /home/somebody/models/" + folder)
    def score(query, passages, batch):
        if query == "leave":
            os._exit(3)
        if query == "too much":
            return bytearray({limit} * 2)
        if query == "fail":
            raise ValueError("cannot score")
        lengths = lambda texts: [len(text) for text in texts]
        return lengths(passages) if batch is None else in_sorted_batches(lengths, passages, batch)
    return score

answer_requests(Peer(load, ("pytest",)))
"""


@pytest.fixture
def lists(tmp_path: Path) -> str:
    file = tmp_path / "lists.json"
    questions = ["a question", "fail", "leave", "too much"]
    content = {"passages": ["aaa", "a", "aaaaa", "aa"], "lists": [[text, [3, 0, 2, 1]] for text in questions]}
    file.write_text(json.dumps(content), encoding="utf-8")
    return str(file)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], PeerProcess]]:
    script = tmp_path / "fake.py"
    script.write_text(FAKE.format(peers=str(PEERS), limit=GIBIBYTE), encoding="utf-8")
    started: list[PeerProcess] = []

    def new() -> PeerProcess:
        started.append(PeerProcess([sys.executable, str(script)]))
        return started[-1]

    yield new
    for process in started:
        process.close()


def load(process: PeerProcess, **setting: str) -> dict[str, Any]:
    return process.ask(load="tiny", setting=setting, threads=1, memory=GIBIBYTE)


def test_a_peer_answers_with_scores_in_the_order_of_the_passages(
    start: Callable[[], PeerProcess], lists: str
) -> None:
    process = start()
    loaded = load(process)
    assert loaded["versions"] == {"pytest": pytest.__version__}
    assert loaded["scale"] == "logit"
    for batch in (None, 1, 2, 3):
        answer = process.ask(score=lists, list=0, first=None, batch=batch)
        assert answer["scores"] == [2, 3, 5, 1]
        assert answer["memory"] > 1
        assert answer["seconds"] > 0
    assert process.ask(score=lists, list=0, first=2, batch=None)["scores"] == [2, 3]


def test_a_peer_that_fails_says_why_and_goes_on(start: Callable[[], PeerProcess], lists: str) -> None:
    process = start()
    with pytest.raises(PeerError, match=r"^OSError: no model in tiny$"):
        load(process, load="fails")
    load(process)
    with pytest.raises(PeerError, match="ValueError: cannot score"):
        process.ask(score=lists, list=1, first=None, batch=None)
    assert process.ask(score=lists, list=0, first=None, batch=None)["scores"] == [2, 3, 5, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_a_peer_that_wants_too_much_memory_is_an_error_and_no_harm(
    start: Callable[[], PeerProcess], lists: str
) -> None:
    process = start()
    load(process)
    with pytest.raises(PeerError, match="MemoryError"):
        process.ask(score=lists, list=3, first=None, batch=None)


def test_a_peer_that_ends_is_reported_now_and_later(start: Callable[[], PeerProcess], lists: str) -> None:
    process = start()
    load(process)
    for _ in range(2):
        with pytest.raises(PeerError, match="the process ended with 3: "):
            process.ask(score=lists, list=2, first=None, batch=None)


def test_reasons_name_no_folders_and_break_no_table() -> None:
    assert reason("OSError: '/home/me/x.y/model.onnx' | not\n found") == "OSError: 'model.onnx' / not found"


def test_every_side_has_a_script_and_requirements_that_are_pinned() -> None:
    for side in SIDES:
        assert (PEERS / side.script).is_file()
        if not side.is_ours:
            lines = (
                (PEERS / "requirements" / f"{side.environment}.txt").read_text(encoding="utf-8").splitlines()
            )
            assert all("==" in line for line in lines if not line.startswith("#"))
    assert len({side.name for side in SIDES}) == len(SIDES)
    assert {BUNDLED, SAME, EXACT, REFERENCE} <= {side.name for side in SIDES if side.in_large}


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("short", 25, 60), ("mixed", 8, 512), ("long", 500, 512)]
)
def test_passages_have_the_lengths_of_their_kind_and_differ(kind: str, least: int, most: int) -> None:
    passages, lengths = make_passages(1000, kind)
    assert len(set(passages)) == 1000
    assert least <= min(lengths)
    assert max(lengths) <= most
    assert make_passages(1000, kind) == (passages, lengths)


def test_mixed_passages_have_the_mean_that_is_promised() -> None:
    _, lengths = make_passages(1000, "mixed")
    assert sum(lengths) / 1000 == pytest.approx(168, abs=8)


def test_cases_are_chosen_by_name() -> None:
    assert chosen_cases(None) == CASES
    assert [case.name for case in chosen_cases(["100-mixed", "20-short"])] == ["20-short", "100-mixed"]
    with pytest.raises(ValueError, match="no case 20-long-ago; there are 20-short"):
        chosen_cases(["20-long-ago"])


def test_a_case_has_every_question_with_the_same_passages(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    tokens = write_lists(Case(MINILM, 20, "short", 1), file)
    content = json.loads(file.read_text(encoding="utf-8"))
    assert 30 <= tokens <= 60
    assert len({query for query, _ in content["lists"]}) == 30
    assert all(positions == list(range(20)) for _, positions in content["lists"])


def test_judged_lists_keep_their_ids(tmp_path: Path) -> None:
    documents = (
        Document("d1", "bread is baked"),
        Document("d2", "tides rise"),
        Document("d3", "bread and tides"),
    )
    collection = Collection(
        "toy", documents, {"q1": "bread", "q2": "nowhere"}, {"q1": {"d3": 2}, "q2": {"d1": 1}}
    )
    ids = write_judged(collection, tmp_path / "judged.json")
    content = json.loads((tmp_path / "judged.json").read_text(encoding="utf-8"))
    ((query, positions),) = content["lists"]
    assert query == "bread"
    assert [documents[position].id for position in positions] == ids[0][1]
    assert ndcg(ids, [[1.0 if name == "d3" else 0.0 for name in ids[0][1]]], collection.qrels) == 1


def test_rounds_fill_the_time_and_sides_take_turns_in_beginning() -> None:
    assert [count_rounds(*given) for given in ((10, 45), (100, 45), (0.1, 45), (0, 45))] == [4, 1, 25, 1]
    assert in_turn(["a", "b", "c"], 4) == ["b", "c", "a"]
    assert in_turn([], 1) == []


def test_a_case_is_measured_with_the_sides_that_work(
    start: Callable[[], PeerProcess], tmp_path: Path
) -> None:
    case = Case(MINILM, 20, "short", 0)
    write_lists(case, tmp_path / "case.json")
    sides = [
        Side("steady", "", "", ""), Side("choosing", "", "", "", chooses_batch=True), Side("gone", "", "", "")
    ]  # fmt: skip
    processes = {side.name: start() for side in sides}
    for name in ("steady", "choosing"):
        load(processes[name])
    figures, scores = measure_case(case, tmp_path / "case.json", sides, processes)
    assert figures["rounds"] == 1
    assert len(figures["sides"]["steady"]["seconds"]) == 1
    assert figures["sides"]["steady"]["batch"] is None
    assert figures["sides"]["choosing"]["batch"] in (4, 8, 16)
    assert "a model is loaded first" in figures["sides"]["gone"]["failed"]
    assert scores["steady"] == scores["choosing"]


def test_ratios_are_formed_within_a_round() -> None:
    assert ratios([2.0, 30.0], [1.0, 10.0]) == [2.0, 3.0]
    assert spread([1.0, 4.0, 2.0], ".1f") == "2.0 (1.0 to 4.0)"
    assert spread([1.0], ".1f") == "1.0"
    assert percentile([4.0, 1.0, 2.0, 3.0, 5.0], 0.95) == pytest.approx(4.8)


def test_the_best_peer_is_never_crossrank() -> None:
    case = {"sides": {BUNDLED: {"seconds": [1.0]}, "A": {"seconds": [3.0]}, "B": {"seconds": [2.0]}, "C": {}}}
    assert best_peer(case) == "B"
    assert compared(case, "B", BUNDLED) == [2.0]
    assert compared(case, "C", BUNDLED) is None
    assert best_peer({"sides": {BUNDLED: {"seconds": [1.0]}}}) is None


def test_agreement_compares_like_with_like() -> None:
    logits = [[0.0, 2.0, -2.0]]
    probabilities = [[1 / (1 + math.exp(-value)) for value in logits[0]]]
    same = compare_scores(logits, probabilities, "probability")
    assert same["logit"] is None
    assert same["probability"] == pytest.approx(0, abs=1e-6)
    assert same["spearman"] == 1
    moved = compare_scores(logits, [[0.5, 2.0, -2.0]], "logit")
    assert moved["logit"] == 0.5
    assert moved["probability"] == pytest.approx(0.1225, abs=1e-4)


def test_agreement_is_of_what_both_sides_scored() -> None:
    scores = {REFERENCE: {"a": [[1.0, 2.0]], "b": [[3.0]]}, "other": {"a": [[1.0, 2.5]]}, "none": {}}
    found = agreement(scores, dict.fromkeys(scores, "logit"))
    assert found["other"]["logit"] == 0.5
    assert "none" not in found
    assert agreement({"other": {"a": [[1.0]]}}, {"other": "logit"}) == {}


def figures() -> dict[str, Any]:
    """Two rounds of a case in which one side failed, and a large one of a single round."""
    left_out = next(side for side in SIDES if not takes_part(side, CASES[-1]))
    small = {
        BUNDLED: {"batch": None, "seconds": [0.5, 1.0], "memory": 200},
        REFERENCE: {"batch": None, "seconds": [2.0, 3.0], "memory": 700},
        left_out.name: {"batch": 8, "seconds": [1.0, 2.0], "memory": 600},
        "FlashRank": {"failed": "MemoryError: too much"},
    }
    large = {name: {"batch": None, "seconds": [10.0], "memory": 900} for name in (BUNDLED, REFERENCE)}
    cases = [
        {"name": "20-mixed", "count": 20, "kind": "mixed", "tokens": 168.0, "rounds": 2, "sides": small},
        {"name": "1000-long", "count": 1000, "kind": "long", "tokens": 512.0, "rounds": 1, "sides": large},
    ]
    block = {
        "load": {BUNDLED: [0.3, 0.2, 0.4], REFERENCE: [4.0, 5.0, 6.0], left_out.name: [1.0, 1.0, 1.0]},
        "failed": {"fastembed": "PeerError: not installed"},
        "agreement": {BUNDLED: {"nDCG@10": 0.83, "logit": 0.01, "probability": 0.001, "spearman": 0.999}},
        "cases": cases,
        "date": "2026-01-02",
        "command": "python -m benchmarks.engines",
    }
    machine = {
        "system": "Linux, x86_64",
        "processors": 2,
        "maker": "AMD",
        "flags": ["avx2", "avx512f", "avx512_vnni", "avx512_bf16"],
        "python": "3.11.7",
    }
    return {
        "machine": machine,
        "judged": "of the sample texts",
        "versions": {BUNDLED: {"openvino": "1"}},
        "models": {MINILM: block},
    }


def test_the_page_has_ratios_with_their_spread_and_what_was_not_run() -> None:
    text = page("amd", figures())
    assert f"| {BUNDLED} | its own | 26.7 | 3.50 (3.00 to 4.00) | 2.00 (2.00 to 2.00) | 750 |" in text
    assert f"| {BUNDLED} | 0.30 (0.20 to 0.40) | 200 | 0.0100 | 0.0010 | 0.9990 | 0.8300 |" in text
    assert "- MiniLM-L6, 20 mixed, FlashRank: MemoryError: too much" in text
    assert "- MiniLM-L6, fastembed: PeerError: not installed" in text
    assert "left out to save time" in text
    assert str(ROOT) not in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert min(widths) >= 3


def test_each_kind_of_processor_keeps_its_own_figures(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    amx = figures()
    amx["models"][MINILM]["date"] = "2025-03-04"
    amx["machine"] = amx["machine"] | {"maker": "Intel", "flags": ["avx512f", "avx512_vnni", "amx_bf16"]}
    newer = figures()
    newer["machine"] = newer["machine"] | {"flags": [*newer["machine"]["flags"], "avx_vnni"]}
    for content in (figures(), newer, amx):
        short, _ = kind_of(content["machine"])
        (folder / f"{short}.json").write_text(json.dumps(content), encoding="utf-8")
    write_pages(tmp_path)
    text = (tmp_path / "engines.md").read_text(encoding="utf-8")
    assert "## AMD with AVX-512 VNNI and BF16, without AMX\n\nMeasured on 2 processors (avx2, " in text
    assert "## AMD with AVX-512 VNNI and BF16, and AVX-VNNI, without AMX\n" in text
    assert ":\n2025-03-04, `python -m benchmarks.engines`." in text
    assert {file.name for file in folder.iterdir() if file.suffix == ".md"} == {
        "amd-avx512-vnni-avx-vnni.md",
        "amd-avx512-vnni.md",
        "amx.md",
    }
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (tmp_path / link).is_file()


def test_random_weights_give_texts_different_scores(tmp_path: Path) -> None:
    """Else rounding noise decides the order, and no faster arithmetic is seen to keep it."""
    folder = tmp_path / "model"
    write_shape(folder, *modernbert(64, 3, 96, "cls"))
    write_tokenizer(folder, "PreTrainedTokenizerFast", 512, typed=False)
    passages, _ = make_passages(20, "short")
    logits, _ = CrossEncoder(folder).logits([("what is the plan", passage) for passage in passages])
    assert logits.std() > 0.2


def test_the_machine_at_hand_has_a_kind() -> None:
    assert all(kind_of(describe_machine()))


def test_the_pictures_are_the_same_at_every_drawing(tmp_path: Path) -> None:
    for draw in (draw_speed, draw_cost):
        drawn = []
        for _ in range(2):
            draw(figures(), tmp_path / "picture.svg")
            drawn.append((tmp_path / "picture.svg").read_bytes())
        assert drawn[0] == drawn[1]
