from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crossrank.inference.packing import pack
from crossrank.inference.tokenizer import Tokens

PAD = 1
inputs = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=20), min_size=1, max_size=20)


def tokens_of(ids: list[int]) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.array([i % 2 for i in ids], np.int32))


@given(inputs)
def test_positions_start_at_zero_with_each_input(ids: list[list[int]]) -> None:
    positions = pack([tokens_of(one) for one in ids]).positions()
    assert positions.dtype == np.int32
    assert positions.tolist() == [position for one in ids for position in range(len(one))]


@given(inputs)
def test_shifted_positions_leave_padding_tokens_out(ids: list[list[int]]) -> None:
    expected = []
    for one in ids:
        seen = PAD
        for token in one:
            seen += token != PAD
            expected.append(PAD if token == PAD else seen)
    assert pack([tokens_of(one) for one in ids]).positions(shifted_by=PAD).tolist() == expected
