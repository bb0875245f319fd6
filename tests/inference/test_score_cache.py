from __future__ import annotations

import pickle
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import PAIRS, save, write_reranker

from crossrank import CrossEncoder, Reranker, ScoreCache
from crossrank.errors import InputError
from crossrank.server.queue.scheduler import Scheduler

QUESTION = "who bakes bread"


@pytest.fixture
def folder(tiny: CrossEncoder, tmp_path: Path) -> Path:
    """A folder of its own with the tiny model, which a test may change."""
    folder = tmp_path / "model"
    shutil.copytree(tiny.path, folder)
    return folder


@pytest.fixture(params=["memory", "file"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> ScoreCache:
    return ScoreCache(None if request.param == "memory" else tmp_path / "scores.sqlite")


def test_scores_are_the_same_bit_for_bit_and_computed_once(
    folder: Path, cache: ScoreCache, tiny: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CrossEncoder(folder, score_cache=cache)
    expected = tiny.logits(PAIRS)
    for _ in range(2):
        logits, truncated = model.logits(PAIRS)
        assert logits.tolist() == expected[0].tolist()
        assert truncated.tolist() == expected[1].tolist()
        monkeypatch.setattr(model, "_engine", None)  # the second time, nothing is computed
    assert (cache.hits, cache.misses) == (len(PAIRS), len(PAIRS))
    assert cache.hit_rate == 0.5


def test_only_new_pairs_are_computed_and_progress_counts_all(folder: Path, cache: ScoreCache) -> None:
    model = CrossEncoder(folder, score_cache=cache)
    model.logits(PAIRS[:2])
    done: list[int] = []
    expected = CrossEncoder(folder).logits(PAIRS)[0]
    assert model.logits(PAIRS, progress=done.append)[0].tolist() == expected.tolist()
    assert sum(done) == len(PAIRS)
    assert cache.hits == 2


def test_the_next_run_and_another_process_find_the_scores(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "scores.sqlite"
    CrossEncoder(folder, score_cache=file).logits(PAIRS)
    again = CrossEncoder(folder, score_cache=str(file))
    again.logits(PAIRS)
    assert again.score_cache is not None
    assert again.score_cache.hit_rate == 1.0
    code = (
        "import sys; from crossrank import CrossEncoder\n"
        "model = CrossEncoder(sys.argv[1], score_cache=sys.argv[2])\n"
        f"model.logits({PAIRS!r}); print(model.score_cache.hits)"
    )
    run = [sys.executable, "-c", code, str(folder), str(file)]
    assert subprocess.run(run, check=True, capture_output=True, text=True).stdout.split() == [str(len(PAIRS))]


def test_a_changed_weight_is_never_answered_from_the_cache(folder: Path, cache: ScoreCache) -> None:
    CrossEncoder(folder, score_cache=cache).logits(PAIRS)
    tensors = load_file(folder / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    tensors[name] = tensors[name].copy()
    tensors[name][1:] += 0.5
    save(folder, tensors)
    changed = CrossEncoder(folder, score_cache=cache)
    assert changed.logits(PAIRS)[0].tolist() == CrossEncoder(folder).logits(PAIRS)[0].tolist()
    assert cache.hits == 0


@pytest.mark.parametrize(
    "options",
    [{"max_length": 12}, {"precision": "int8"}, {"prompts": {"q": "ask: "}, "default_prompt_name": "q"}],
)
def test_other_settings_have_scores_of_their_own(
    folder: Path, cache: ScoreCache, options: dict[str, Any]
) -> None:
    CrossEncoder(folder, precision="float32", score_cache=cache).logits(PAIRS)
    other = {"precision": "float32"} | options
    found = CrossEncoder(folder, score_cache=cache, **other).logits(PAIRS)[0]
    assert found.tolist() == CrossEncoder(folder, **other).logits(PAIRS)[0].tolist()
    assert cache.hits == 0


def test_a_change_of_calibration_keeps_the_scores(folder: Path, cache: ScoreCache) -> None:
    CrossEncoder(folder, score_cache=cache).logits(PAIRS)
    (folder / "crossrank.json").write_text('{"calibration": {"method": "platt"}}')
    CrossEncoder(folder, score_cache=cache).logits(PAIRS)
    assert cache.hit_rate == 0.5


def test_query_and_passage_are_not_mixed_up(folder: Path, cache: ScoreCache) -> None:
    model = CrossEncoder(folder, score_cache=cache)
    model.logits([("ab", "c")])
    model.logits([("a", "bc"), ("c", "ab")])
    assert cache.hits == 0


def test_several_labels_are_kept(tmp_path: Path, cache: ScoreCache) -> None:
    folder = write_reranker(tmp_path / "model", labels=3)
    model = CrossEncoder(folder, score_cache=cache)
    first = model.predict(PAIRS)
    assert first.shape == (len(PAIRS), 3)
    assert np.array_equal(model.predict(PAIRS), first)
    assert cache.hits == len(PAIRS)


def test_it_is_bounded(cache: ScoreCache) -> None:
    cache.max_entries = 10
    for number in range(50):
        cache.put([(number.to_bytes(4, "big"), b"value")])
    assert len(cache) == 10
    assert cache.get([(49).to_bytes(4, "big"), (0).to_bytes(4, "big")]) == [b"value", None]


def test_in_memory_what_was_used_last_is_kept() -> None:
    cache = ScoreCache(max_entries=2)
    cache.put([(b"a", b"1"), (b"b", b"2")])
    cache.get([b"a"])
    cache.put([(b"c", b"3")])
    assert cache.get([b"a", b"b", b"c"]) == [b"1", None, b"3"]


def test_many_threads_and_processes_write_at_the_same_time(tmp_path: Path) -> None:
    file = tmp_path / "scores.sqlite"
    ScoreCache(file)
    code = (
        "import sys; from crossrank import ScoreCache; cache = ScoreCache(sys.argv[1])\n"
        "for n in range(200): cache.put([(f'{sys.argv[2]}-{n}'.encode(), b'x')])"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(file), name]) for name in "ab"]
    cache = ScoreCache(file)

    def write(thread: int) -> None:
        for number in range(200):
            cache.put([(f"{thread}-{number}".encode(), b"x")])
            assert cache.get([f"{thread}-{number}".encode()]) == [b"x"]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(cache) == 6 * 200


def test_a_damaged_value_is_computed_again(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "scores.sqlite"
    expected = CrossEncoder(folder, score_cache=file).logits(PAIRS)[0].tolist()
    with sqlite3.connect(file) as database:
        database.execute("UPDATE score SET value = zeroblob(length(value))")
    model = CrossEncoder(folder, score_cache=file)
    assert model.logits(PAIRS)[0].tolist() == expected
    assert model.score_cache is not None
    assert model.score_cache.hits == 0


def test_a_cache_that_is_lost_while_it_is_used_is_no_error(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "scores.sqlite"
    model = CrossEncoder(folder, score_cache=file)
    expected = model.logits(PAIRS)[0].tolist()
    for part in tmp_path.glob("scores.sqlite*"):
        part.write_bytes(b"not a database at all, but long enough to be read as one" * 100)
    assert model.logits(PAIRS)[0].tolist() == expected


def test_what_is_no_cache_is_refused(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("no database " * 100)
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE mine (x)")
    for file, expected in ((text, "cannot be used"), (foreign, "is not a score cache")):
        with pytest.raises(InputError, match=expected):
            CrossEncoder(folder, score_cache=file)
    with pytest.raises(InputError, match="score_cache must be"):
        CrossEncoder(folder, score_cache=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="max_entries"):
        ScoreCache(max_entries=0)
    with pytest.raises(InputError, match="loaded already"):
        Reranker(CrossEncoder(folder), score_cache="memory")


def test_a_pickled_model_has_its_cache(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "scores.sqlite"
    model = CrossEncoder(folder, score_cache=file)
    model.logits(PAIRS)
    again: CrossEncoder = pickle.loads(pickle.dumps(model))
    again.logits(PAIRS)
    assert again.score_cache is not None
    assert again.score_cache.hit_rate == 1.0


def test_wrong_texts_are_told_as_without_a_cache(folder: Path, cache: ScoreCache) -> None:
    model = CrossEncoder(folder, score_cache=cache)
    for wrong in (3, "\ud800"):
        with pytest.raises(InputError, match=r"must be strings|lone surrogates"):
            model.logits([(QUESTION, wrong)])  # type: ignore[list-item]


def test_the_queue_of_a_server_uses_it(folder: Path, cache: ScoreCache, tiny: CrossEncoder) -> None:
    model = CrossEncoder(folder, score_cache=cache)
    steps: list[int] = []
    scheduler = Scheduler(model, observe=lambda step: steps.append(step.inputs))
    try:
        expected = tiny.logits(PAIRS)
        for _ in range(2):
            scored = scheduler.submit(PAIRS).future.result(30)
            assert scored.logits.tolist() == expected[0].tolist()
            assert scored.truncated.tolist() == expected[1].tolist()
            assert scored.tokens.min() > 0
        assert sum(steps) == len(set(PAIRS)), "the second request computes nothing"
        mixed = [*PAIRS[:1], (QUESTION, "a new passage")]
        assert scheduler.submit(mixed).future.result(30).logits.tolist() == tiny.logits(mixed)[0].tolist()
    finally:
        scheduler.close()
    assert model.logits(PAIRS)[0].tolist() == expected[0].tolist()


def test_without_it_nothing_is_kept(tiny: CrossEncoder) -> None:
    assert tiny.score_cache is None
    assert tiny.kept_scores is None
