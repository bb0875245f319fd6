from __future__ import annotations

import asyncio
import copy
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.processes import run_python
from support.tiny_models import PAIRS, TEXTS, change_json, save, write_embedder, write_reranker

from crossrank.errors import InputError, ModelError
from crossrank.inference.arithmetic import FLOAT32
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.models.locate import DEFAULT_CROSS_ENCODER, locate_model

QUESTION = "who bakes bread at night"


def some_pairs(number: int) -> list[tuple[str, str]]:
    words = " ".join(TEXTS).split()
    dice = random.Random(7)
    return [
        (QUESTION, f"{i} " + " ".join(dice.choices(words, k=dice.choice([2, 9, 20, 60, 200]))))
        for i in range(number)
    ]


@pytest.mark.parametrize("model", ["tiny", "bundled"])
@pytest.mark.parametrize("size", [2, 5, 32])
def test_score_is_the_same_bit_for_bit_in_any_company(
    model: str, size: int, request: pytest.FixtureRequest
) -> None:
    encoder: CrossEncoder = request.getfixturevalue(model)
    pairs = some_pairs(32)
    alone = np.concatenate([encoder.logits([pair])[0] for pair in pairs])
    together = np.concatenate([encoder.logits(pairs[i : i + size])[0] for i in range(0, 32, size)])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(encoder.logits(pairs[::-1])[0][::-1], alone)


def test_score_is_the_same_bit_for_bit_with_any_number_of_threads(bundled: CrossEncoder) -> None:
    pairs = some_pairs(16)
    for threads in (1, 3):
        other = CrossEncoder(threads=threads)
        np.testing.assert_array_equal(other.logits(pairs)[0], bundled.logits(pairs)[0])


def test_equal_pairs_are_scored_once_and_have_equal_scores(tiny: CrossEncoder) -> None:
    pairs = [PAIRS[0], PAIRS[1], PAIRS[0], PAIRS[2], PAIRS[1]]
    done: list[int] = []
    logits, truncated = tiny.logits(pairs, progress=done.append)
    np.testing.assert_array_equal(logits, tiny.logits(list(PAIRS))[0][[0, 1, 0, 2, 1]])
    assert truncated[0] == truncated[2] == 0 < truncated[3]
    assert sum(done) == 5


def test_no_pairs_have_no_scores(tiny: CrossEncoder) -> None:
    scores = tiny.predict([])
    assert isinstance(scores, np.ndarray)
    assert scores.shape == (0,)
    assert scores.dtype == np.float32
    assert tiny.rank(QUESTION, []) == []


@pytest.mark.parametrize("pair", [PAIRS[0], list(PAIRS[0])])
def test_single_pair_has_a_single_number(pair: list[str], tiny: CrossEncoder) -> None:
    score = tiny.predict(pair)
    assert isinstance(score, np.float32)
    many = tiny.predict([pair])
    assert isinstance(many, np.ndarray)
    assert many.tolist() == [score]


@pytest.mark.parametrize("wrong", [["one"], [("a", "b", "c")], [("a", None)], ["ab"], "ab", [3]])
def test_what_is_no_pair_is_refused_by_position(wrong: list[str], tiny: CrossEncoder) -> None:
    with pytest.raises(InputError, match="pair 0 must be two strings"):
        tiny.predict(wrong)


def test_rank_is_predict_in_order(tiny: CrossEncoder) -> None:
    scores = np.atleast_1d(tiny.predict([(QUESTION, text) for text in TEXTS]))
    ranked = tiny.rank(QUESTION, TEXTS)
    assert [hit["corpus_id"] for hit in ranked] == np.argsort(-scores, kind="stable").tolist()
    assert [hit["score"] for hit in ranked] == sorted(scores.tolist(), reverse=True)
    assert all(type(hit["score"]) is float and set(hit) == {"corpus_id", "score"} for hit in ranked)
    assert tiny.rank(QUESTION, TEXTS, 2, True) == [
        hit | {"text": TEXTS[hit["corpus_id"]]} for hit in ranked[:2]
    ]
    assert tiny.rank(QUESTION, TEXTS[:1])[0]["corpus_id"] == 0


def test_max_length_cuts_pairs(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    short = CrossEncoder(folder, max_length=16)
    _, truncated = short.logits([PAIRS[1]])
    assert truncated[0] > CrossEncoder(folder).logits([PAIRS[1]])[1][0] == 0


def test_damaged_weights_are_refused_at_load(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["bert.encoder.layer.1.output.dense.bias"][3] = np.nan
    save(folder, tensors)
    with pytest.raises(ModelError, match="its weights are damaged"):
        CrossEncoder(folder)


def test_model_without_a_classifier_is_refused(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    save(folder, {name: value for name, value in tensors.items() if not name.startswith("classifier")})
    with pytest.raises(ModelError, match="no classification head"):
        CrossEncoder(folder)


@pytest.mark.parametrize("bundled_embedder", [True, False])
def test_embedder_is_refused_as_reranker_with_what_it_is(bundled_embedder: bool, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="It is an embedder"):
        CrossEncoder("all-MiniLM-L6-v2" if bundled_embedder else write_embedder(tmp_path / "model"))


def test_reranker_is_refused_as_embedder_with_what_it_is(tmp_path: Path) -> None:
    for model in (DEFAULT_CROSS_ENCODER, write_reranker(tmp_path / "model")):
        with pytest.raises(ModelError, match="it is a reranker"):
            BiEncoder(model)


def test_threads_that_share_a_model_get_the_scores_of_one(bundled: CrossEncoder) -> None:
    pairs = some_pairs(24)
    expected = bundled.logits(pairs)[0]
    with ThreadPoolExecutor(8) as pool:
        for logits, _ in pool.map(lambda _: bundled.logits(pairs), range(16)):
            np.testing.assert_array_equal(logits, expected)


FORK = """
    import os, sys, threading, time
    from crossrank.inference.cross_encoder import CrossEncoder

    model = CrossEncoder()
    pairs = [("who bakes bread", "a baker, and baker " * n) for n in range(1, 9)]
    expected = model.logits(pairs)[0].tolist()
    stop = threading.Event()

    def work():
        while not stop.is_set():
            model.logits(pairs * 4)

    busy = [threading.Thread(target=work) for _ in range(int(sys.argv[2]))]
    for thread in busy:
        thread.start()
    for _ in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            if sys.argv[3] == "scores":
                same = model.logits(pairs)[0].tolist() == expected
                os._exit(0 if same else 1)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    for thread in busy:
        thread.join()
    assert model.logits(pairs)[0].tolist() == expected
"""


@pytest.mark.parametrize(
    ("forks", "busy_threads", "child"), [(1, 0, "scores"), (4, 2, "scores"), (1, 0, "ends")]
)
def test_forked_child_scores_as_its_parent_and_ends_well(forks: int, busy_threads: int, child: str) -> None:
    assert run_python(FORK, str(forks), str(busy_threads), child).split() == ["0"] * forks


def test_forked_child_that_scored_ends_well_of_itself() -> None:
    code = FORK.replace("os._exit(0 if same else 1)", "sys.exit(0 if same else 1)")
    assert run_python(code, "1", "0", "scores").split() == ["0"]


def test_scoring_does_not_hold_up_the_event_loop(tiny: CrossEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    other_task_ran = threading.Event()
    logits = CrossEncoder.logits

    def after_the_other_task(model: CrossEncoder, *arguments: Any, **options: Any) -> Any:
        assert other_task_ran.wait(60), "the event loop stands still while this runs"
        return logits(model, *arguments, **options)

    monkeypatch.setattr(CrossEncoder, "logits", after_the_other_task)

    async def score_next_to_another_task() -> Any:
        scoring = asyncio.create_task(tiny.apredict(some_pairs(4)))
        await asyncio.sleep(0)
        other_task_ran.set()
        return await scoring

    np.testing.assert_array_equal(asyncio.run(score_next_to_another_task()), tiny.predict(some_pairs(4)))


def test_arank_gives_what_rank_gives(tiny: CrossEncoder) -> None:
    assert asyncio.run(tiny.arank(QUESTION, TEXTS, 3)) == tiny.rank(QUESTION, TEXTS, 3)


def copy_of_bundled(folder: Path) -> Path:
    return Path(shutil.copytree(locate_model(DEFAULT_CROSS_ENCODER), folder / "copy"))


def test_int8_that_is_wrong_here_gives_way_to_float32_with_a_notice(
    bundled: CrossEncoder, tmp_path: Path
) -> None:
    folder = copy_of_bundled(tmp_path)
    change_json(folder / "crossrank.json", probe=[[9.0], [9.0], [-9.0], [-9.0]])
    model = CrossEncoder(folder)
    (notice,) = model.notices
    assert "computed wrongly here in" in notice
    assert model.precision.arithmetic == FLOAT32
    difference = np.abs(model.logits(list(PAIRS))[0] - bundled.logits(list(PAIRS))[0])
    assert 0 < difference.max() < 1


def test_int8_without_stored_outputs_is_compared_with_float32_here(
    bundled: CrossEncoder, tmp_path: Path
) -> None:
    folder = copy_of_bundled(tmp_path)
    change_json(folder / "crossrank.json", probe=None)
    model = CrossEncoder(folder)
    assert model.notices == bundled.notices == ()
    np.testing.assert_array_equal(model.logits(list(PAIRS))[0], bundled.logits(list(PAIRS))[0])


def test_bundled_model_ranks_by_sense(bundled: CrossEncoder) -> None:
    passages = ["The tide turns twice a day.", "Bakers knead dough at night.", "The budget was passed."]
    assert bundled.rank("Who makes bread?", passages)[0]["corpus_id"] == 1


def test_a_copy_shares_the_engine_and_scores_alike(tiny: CrossEncoder) -> None:
    copied = copy.deepcopy(tiny)
    assert copied.predict([("a question", "a passage")]) == tiny.predict([("a question", "a passage")])
