from __future__ import annotations

from crossrank.training.trainer import batch_order


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
