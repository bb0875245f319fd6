from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crossrank.inference.packing import fitting, pack
from crossrank.inference.tokenizer import Tokens

PAD = 1
inputs = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=20), min_size=1, max_size=20)


def tokens_of(ids: list[int]) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.array([i % 2 for i in ids], np.int32))


@given(inputs)
def test_inputs_lie_end_to_end(ids: list[list[int]]) -> None:
    together = pack([tokens_of(one) for one in ids])
    parts = np.split(together.ids, together.bounds[1:-1])
    assert [part.tolist() for part in parts] == ids
    assert together.types.tolist() == [i % 2 for one in ids for i in one]
    assert together.bounds[-1] == len(together.ids)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40), st.booleans())
def test_batch_is_as_large_as_the_budget_allows(sizes: list[int], padded: bool) -> None:
    lengths = np.array(sorted(sizes, reverse=True), np.intp)

    def room(count: int) -> int:
        return int(lengths[0]) * count if padded else int(lengths[:count].sum())

    count = fitting(lengths, 500, padded=padded)
    assert count == 1 or room(count) <= 500
    assert count == len(lengths) or room(count + 1) > 500
