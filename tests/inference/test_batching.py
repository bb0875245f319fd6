from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crossrank.inference.batching import make_batches, padded_length
from crossrank.inference.tokenizer import Tokens

LIMIT = 512
lengths = st.lists(st.integers(1, LIMIT), max_size=60)


def inputs_of(sizes: list[int]) -> list[Tokens]:
    """Inputs whose first token tells which one it is."""
    return [
        Tokens(np.full(size, 1000 + i, np.int32), np.ones(size, np.int32)) for i, size in enumerate(sizes)
    ]


@given(lengths)
def test_every_input_is_in_one_batch_with_its_own_tokens(sizes: list[int]) -> None:
    seen = []
    for positions, batch in make_batches(inputs_of(sizes), pad_id=7, limit=LIMIT, shares=4):
        for row, position in enumerate(positions.tolist()):
            size = sizes[position]
            assert batch["input_ids"][row].tolist() == [1000 + position] * size + [7] * (
                batch["input_ids"].shape[1] - size
            )
            assert batch["attention_mask"][row].sum() == batch["attention_mask"][row, :size].sum() == size
            assert batch["token_type_ids"][row].sum() == size
            seen.append(position)
    assert sorted(seen) == list(range(len(sizes)))


@given(lengths)
def test_padding_depends_on_the_input_alone(sizes: list[int]) -> None:
    for positions, batch in make_batches(inputs_of(sizes), pad_id=0, limit=LIMIT, shares=4):
        assert {padded_length(sizes[i], LIMIT) for i in positions.tolist()} == {batch["input_ids"].shape[1]}


@given(lengths, st.integers(1, 16))
def test_a_batch_stays_in_a_cores_cache_and_leaves_something_to_every_thread(
    sizes: list[int], shares: int
) -> None:
    whole = sum(padded_length(size, LIMIT) for size in sizes)
    for positions, batch in make_batches(inputs_of(sizes), pad_id=0, limit=LIMIT, shares=shares):
        length = batch["input_ids"].shape[1]
        assert length % 16 == 0
        assert len(positions) <= 16
        assert len(positions) == 1 or len(positions) * length <= min(1024, -(-whole // shares))


def test_equal_lengths_are_split_evenly() -> None:
    batches = make_batches(inputs_of([100] * 20), pad_id=0, limit=LIMIT, shares=4)
    assert [len(positions) for positions, _ in batches] == [5, 5, 5, 5]


@given(st.integers(1, 60), st.integers(1, 60))
def test_padding_never_exceeds_the_models_length(size: int, limit: int) -> None:
    size = min(size, limit)
    assert size <= padded_length(size, limit) <= limit


def test_longest_inputs_come_first() -> None:
    batches = list(make_batches(inputs_of([5, 300, 20, 100]), pad_id=0, limit=LIMIT, shares=4))
    assert [batch["input_ids"].shape[1] for _, batch in batches] == [304, 112, 32, 16]
