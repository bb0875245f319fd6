"""The commands as a person or a script runs them: a process, its output, its exit code."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
from support.commands import crossrank, one_line

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "ranking.schema.json").read_text())
SAMPLES = Path(__file__).parents[2] / "src" / "crossrank" / "samples"
SPEECH = Path(__file__).parents[2].parent / "shared" / "data" / "state_of_the_union.txt"


def test_search_json_follows_the_schema_and_answers_from_the_files() -> None:
    process = crossrank(
        "search", "Can I leave dough in the fridge?", SAMPLES / "texts", "--json", "--top-n", "2"
    )
    assert process.returncode == 0
    assert process.stderr == "", "no progress bar and no notice where the output is no terminal"
    ranking = json.loads(process.stdout)
    jsonschema.validate(ranking, SCHEMA)
    assert len(ranking["hits"]) == 2
    best = ranking["hits"][0]
    assert "refrigerator" in best["text"]
    assert best["document"]["metadata"]["source"].endswith("bread-dough.txt")
    assert set(ranking["timings"]) == {"load", "models", "index", "first_stage", "rerank"}


def test_search_for_people_shows_score_place_and_passage() -> None:
    process = crossrank(
        "search", "sleep pressure", SAMPLES / "texts", "--retrieval", "lexical", "--top-n", "1"
    )
    assert process.returncode == 0
    first, explanation = process.stdout.splitlines()[:2]
    assert first.startswith("1. 0.")
    assert "sleep" in first
    assert "(logit " in explanation
    assert f"sigmoid {first.split()[1]}" in explanation
    assert "rerank" in process.stdout.splitlines()[-1]


def test_demo_shows_the_first_stage_beside_the_reranked_top_3() -> None:
    process = crossrank("demo")
    assert process.returncode == 0
    for expected in (
        "Where should potatoes be kept over winter",
        "First stage",
        "Reranked",
        "potatoes#7",
        "rerank 0.",
    ):
        assert expected in process.stdout


def test_rerank_ranks_plain_lines_from_standard_input() -> None:
    process = crossrank(
        "rerank", "Who bakes bread?", "-", "--json", input="A tide table.\n\nBakers bake bread.\n"
    )
    ranking = json.loads(process.stdout)
    jsonschema.validate(ranking, SCHEMA)
    assert [(hit["document"]["id"], hit["candidate"]["rank"]) for hit in ranking["hits"]] == [
        ("3", 2),
        ("1", 1),
    ]


def test_rerank_keeps_what_json_lines_say_of_a_passage(tmp_path: Path) -> None:
    file = tmp_path / "candidates.jsonl"
    file.write_text(
        '{"id": "a", "text": "Bakers bake bread.", "title": "Bread", "page": 7}\n{"text": "Tides."}\n'
    )
    hits = json.loads(crossrank("rerank", "Who bakes?", file, "--json", "--top-n", "1").stdout)["hits"]
    assert len(hits) == 1
    assert hits[0]["document"]["id"] == "a"
    assert hits[0]["document"]["title"] == "Bread"
    assert hits[0]["document"]["metadata"]["page"] == 7


def test_eval_reports_both_systems_and_writes_what_was_asked_for(tmp_path: Path) -> None:
    run, plot = tmp_path / "reranked.run", tmp_path / "gain.svg"
    options = [
        "--retrieval",
        "lexical",
        "--candidates",
        "10",
        "--run",
        run,
        "--plot",
        plot,
        "--json",
        "--per-query",
    ]
    process = crossrank("eval", SAMPLES / "judged", *options)
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    ndcg = report["measures"]["nDCG@10"]
    assert ndcg["difference"] == pytest.approx(ndcg["reranked"] - ndcg["first_stage"])
    assert ndcg["interval_95"][0] <= ndcg["difference"] <= ndcg["interval_95"][1]
    assert len(report["per_query"]) == report["queries"] == 30
    assert len(run.read_text().splitlines()[0].split()) == 6
    assert plot.read_text().lstrip().startswith("<?xml")

    again = crossrank("eval", SAMPLES / "judged", "--retrieval", run, "--candidates", "1", "--json")
    assert json.loads(again.stdout)["measures"]["nDCG@10"]["first_stage"] == pytest.approx(ndcg["reranked"])


def test_eval_measures_a_retriever_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_search.py").write_text(
        """
from crossrank import Candidate

class LongestFirst:
    def __init__(self, documents):
        self.documents = sorted(documents, key=lambda document: -len(document.text))

    def retrieve(self, query, k, *, filters=()):
        return [Candidate(document, rank) for rank, document in enumerate(self.documents[:k], start=1)]
"""
    )
    monkeypatch.chdir(tmp_path)
    asked = ("eval", SAMPLES / "judged", "--candidates", "5", "--json", "--retrieval")
    process = crossrank(*asked, "my_search:LongestFirst")
    report = json.loads(process.stdout)
    assert report["retrieval"] == "my_search:LongestFirst"
    assert report["measures"]["recall@100"]["first_stage"] > 0
    for name, message in (
        ("my_search:Shortest", "has no attribute 'Shortest'"),
        ("no_search:Any", "No module named 'no_search'"),
        ("builtins:list", "has no method retrieve"),
    ):
        process = crossrank(*asked, name)
        assert process.returncode == 2
        assert message in one_line(process)


def test_check_describes_both_bundled_models() -> None:
    reranker = json.loads(crossrank("check", "crossrank-minilm-l6", "--json").stdout)
    assert (reranker["kind"], reranker["weights"], reranker["activation"]) == (
        "cross-encoder", "safetensors, int8", "sigmoid",
    )  # fmt: skip
    embedder = json.loads(crossrank("check", "all-MiniLM-L6-v2", "--json").stdout)
    assert (embedder["kind"], embedder["similarity"], embedder["dimensions"]) == ("bi-encoder", "cosine", 384)


@pytest.mark.parametrize("command", ["demo", "search", "rerank", "eval", "check", "pull", "train"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    process = crossrank(command, "--help")
    assert process.returncode == 0
    assert f"Example: crossrank {command}" in process.stdout


BAD_INPUT: list[tuple[Sequence[str], int, str]] = [
    (["search", "", "TEXT"], 2, "the question is empty"),
    (["search", "   ", "TEXT"], 2, "the question is empty"),
    (["search", "q"], 2, "--index INDEX"),
    (["search", "q", "missing.txt"], 2, "missing.txt does not exist"),
    (["search", "q", "BINARY"], 2, "not text"),
    (["train", "--config", "x.toml", "--split", "dev", "-o", "out"], 2, "--split goes with collections"),
    (["search", "q", "EMPTY"], 2, "holds no text"),
    (["search", "q", "TEXT", "--top-n", "0"], 2, "--top-n must be at least 1; it is 0"),
    (["search", "q", "TEXT", "--candidates", "0"], 2, "--candidates must be at least 1"),
    (["search", "q", "TEXT", "--candidates", "many"], 2, "--candidates"),
    (["search", "q", "TEXT", "--chunk-size", "0"], 2, "chunk_size must be at least 1"),
    (["search", "q", "TEXT", "--retrieval", "magic"], 2, "--retrieval"),
    (["search", "q", "TEXT", "--model", "./nowhere"], 3, "no model folder './nowhere'"),
    (["search", "q", "TEXT", "--model", "owner/unknown"], 3, "the network is off"),
    (["search", "q", "TEXT", "--model", "all-MiniLM-L6-v2"], 3, "embedder"),
    (["search", "q", "TEXT", "--embedder", "crossrank-minilm-l6"], 3, "reranker"),
    (["search", "\udcff\ud800", "TEXT"], 2, "surrogates"),
    (["rerank", "q", "EMPTY"], 2, "holds no passage"),
    (["rerank", "q", "BROKEN"], 2, ":2 is not valid JSON"),
    (["rerank", "q", "missing.jsonl"], 2, "missing.jsonl"),
    (["eval", "missing"], 2, "missing is no folder"),
    (["eval", "JUDGED", "--retrieval", "no.run"], 2, "no.run"),
    (["eval", "JUDGED", "--plot", "gain.pdf"], 2, ".png or .svg"),
    (["check", "./nowhere"], 3, "no model folder"),
    (["bogus"], 2, "bogus"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    BAD_INPUT,
    ids=[" ".join(a)[:40].encode("ascii", "replace").decode() for a, _, _ in BAD_INPUT],
)
def test_bad_input_is_one_line_that_says_what_to_do(
    arguments: Sequence[str], code: int, expected: str, tmp_path: Path
) -> None:
    files = {
        "TEXT": b"Some text.",
        "BINARY": b"\0\1\2",
        "EMPTY": b"",
        "BROKEN": b'{"text": "a"}\n{"text": \n',
    }
    for name, content in files.items():
        (tmp_path / f"{name}.txt").write_bytes(content)
    places = {name: str(tmp_path / f"{name}.txt") for name in files} | {"JUDGED": str(SAMPLES / "judged")}
    process = crossrank(
        *[
            os.fsencode(places.get(argument, argument).encode("utf-8", "surrogatepass")).decode(
                "utf-8", "surrogateescape"
            )
            for argument in arguments
        ],
        env={**os.environ, "CROSSRANK_OFFLINE": "1"},
    )
    assert process.returncode == code, process.stderr
    assert expected in one_line(process)
    assert process.stdout == ""


def test_a_full_disk_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.fail("this test needs /dev/full, which every Linux has")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "crossrank", "demo", "--json"]
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert process.returncode == 4
    assert "space" in one_line(process)  # type: ignore[arg-type]


def test_a_run_that_cannot_be_written_leaves_no_half_of_it(tmp_path: Path) -> None:
    run = tmp_path / "out.run"
    process = crossrank(
        "eval", SAMPLES / "judged", "--retrieval", "lexical", "--candidates", "10", "--run", run,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )  # fmt: skip
    assert process.returncode in {2, 4}
    assert "cannot be written" in one_line(process)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_search_says_so_and_exits_130(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text(
        "\n\n".join(f"Paragraph {number} about tides and harbours." * 8 for number in range(20_000))
    )
    command = [sys.executable, "-m", "crossrank", "search", "tides", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines() == ["crossrank: interrupted"]


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = (
        f"{sys.executable} -m crossrank search tides {SAMPLES / 'texts'} --retrieval lexical | head -c 1"
    )
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert process.stderr == ""


def test_check_fails_where_a_model_scores_otherwise_than_published(tmp_path: Path) -> None:
    bundled = SAMPLES.parent / "models" / "bundled" / "crossrank-minilm-l6"
    impostor = tmp_path / "bge-reranker-base"
    shutil.copytree(bundled, impostor)
    process = crossrank("check", impostor)
    assert process.returncode == 1
    assert "NOT as published" in process.stdout
    assert "6.1573" in process.stdout


@pytest.mark.shared
@pytest.mark.skipif(not SPEECH.is_file(), reason="needs the judged collections next to the checkout")
def test_the_reference_case_finds_the_plan_for_the_economy() -> None:
    process = crossrank("search", "What is the plan for the economy?", SPEECH, "--json")
    hits = json.loads(process.stdout)["hits"]
    assert len(hits) == 3
    assert "my plan" in hits[0]["text"] or "My plan" in hits[0]["text"]
    assert max(hit["candidate"]["rank"] for hit in hits) <= 20
    assert {hit["document"]["metadata"]["source"] for hit in hits} == {SPEECH.as_posix()}
