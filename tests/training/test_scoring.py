from __future__ import annotations

from random import Random

import pytest

from crossrank.training.scoring import parts_by_length


@pytest.mark.parametrize("tokens", [1, 64, 2048])
def test_every_pair_is_in_one_part_that_is_not_too_large(tokens: int) -> None:
    lengths = [Random(seed).randint(3, 512) for seed in range(100)]
    parts = parts_by_length(lengths, tokens)
    assert sorted(place for part in parts for place in part) == list(range(100))
    for part in parts:
        longest = lengths[part[0]]
        assert longest == max(lengths[place] for place in part)
        assert len(part) == 1 or len(part) * longest <= tokens


def test_of_nothing_there_are_no_parts() -> None:
    assert parts_by_length([], 64) == []
