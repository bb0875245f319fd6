from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tiny_models import PAIRS, write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.training.settings import JudgedData, TrainingSettings
from crossrank.training.trainer import ListwiseTrainer, batch_order


def test_steps_hold_lists_of_like_length_and_the_last_may_be_short() -> None:
    lengths = [(number * 37) % 100 for number in range(203)]
    order = batch_order(lengths, lists_per_step=4, seed=7)
    assert sorted(order) == list(range(203))
    steps = [[lengths[place] for place in order[at : at + 4]] for at in range(0, 200, 4)]
    assert sum(max(step) - min(step) for step in steps) / len(steps) < 10
    assert [max(step) for step in steps] != sorted(max(step) for step in steps)


def test_the_order_hangs_on_the_seed_alone() -> None:
    lengths = list(range(50))
    assert batch_order(lengths, 4, seed=1) == batch_order(lengths, 4, seed=1)
    assert batch_order(lengths, 4, seed=1) != batch_order(lengths, 4, seed=2)


@pytest.mark.parity
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_saving_a_scaled_copy_leaves_the_model_as_it_is(family: str, judged: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(data=(JudgedData(judged),), max_tokens=32)
    trainer = ListwiseTrainer(write_reranker(tmp_path / "base", family), tmp_path, settings, lambda *_: None)
    for folder, factors in (("first", ()), ("scaled", (2.0, 0.5)), ("again", ())):
        trainer.save(tmp_path / folder, *factors)
    first, scaled, again = (
        CrossEncoder(tmp_path / folder).logits(list(PAIRS))[0] for folder in ("first", "scaled", "again")
    )
    np.testing.assert_array_equal(again, first)
    np.testing.assert_allclose(scaled, 2 * first + 0.5, rtol=0, atol=1e-5)
    assert trainer.model.tokenizer.model_max_length == 32, "what is trained is cut as before"
