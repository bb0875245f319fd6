from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pytest

from crossrank.retrieval.base import Candidate
from crossrank.retrieval.fusion import reciprocal_rank_fusion


def fuse(rankings: Iterable[list[Candidate]], **options: Any) -> list[Candidate]:
    return reciprocal_rank_fusion({str(n): ranking for n, ranking in enumerate(rankings)}, **options)


def ranking(*positions: int) -> list[Candidate]:
    return [Candidate(position, 0.0) for position in positions]


def test_scores_are_the_sums_of_reciprocal_ranks() -> None:
    fused = fuse([ranking(7, 3), ranking(3, 5, 7)])
    assert [candidate.position for candidate in fused] == [3, 7, 5]
    expected = [1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62]
    assert [candidate.score for candidate in fused] == pytest.approx(expected)


def test_smaller_k_favours_the_first_ranks() -> None:
    rankings = [ranking(0, 1), ranking(2, 1), ranking(3, 4, 5)]
    assert fuse(rankings, k=0)[0].position == 0
    assert fuse(rankings)[0].position == 1


def test_first_stage_scores_are_not_read() -> None:
    low, high = [Candidate(0, 0.1), Candidate(1, 0.0)], [Candidate(0, 900.0), Candidate(1, -5.0)]
    assert fuse([low]) == fuse([high])


def test_ties_go_to_the_better_rank() -> None:
    # With k = 0: 1/2 + 1/3 + 1/6 = 1/1, the latter at rank 1.
    rankings = [ranking(0, 9), ranking(10, 11, 9), ranking(12, 13, 14, 15, 16, 9)]
    order = [candidate.position for candidate in fuse(rankings, k=0)]
    assert order[:4] == [0, 10, 12, 9]


def test_remaining_ties_go_to_the_lower_position() -> None:
    assert [c.position for c in fuse([ranking(8), ranking(2), ranking(5)])] == [2, 5, 8]


def test_order_of_the_rankings_does_not_matter() -> None:
    # Added up as floats, 1/61 + 1/63 + 1/67 depends on the order.
    rankings = [ranking(0, 1), ranking(2, 3, 0), ranking(4, 5, 6, 7, 8, 9, 0)]
    fused = [fuse(order) for order in permutations(rankings)]
    scored = [[(candidate.position, candidate.score) for candidate in one] for one in fused]
    assert all(one == scored[0] for one in scored)


def test_weight_multiplies_what_a_ranking_gives() -> None:
    fused = reciprocal_rank_fusion({"a": ranking(0, 1), "b": ranking(2)}, weights={"b": 0.5})
    assert [(c.position, c.score) for c in fused] == [(0, 1 / 61), (1, 1 / 62), (2, 0.5 / 61)]


def test_candidate_knows_the_rank_in_each_ranking() -> None:
    fused = reciprocal_rank_fusion({"a": ranking(0, 1), "b": ranking(1)})
    assert [dict(candidate.ranks) for candidate in fused] == [{"a": 2, "b": 1}, {"a": 1}]


def test_nothing_fused_is_nothing() -> None:
    assert fuse([]) == fuse([[], []]) == []
