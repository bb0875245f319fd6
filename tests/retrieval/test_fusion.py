from __future__ import annotations

from itertools import permutations

import pytest

from crossrank.retrieval.base import Candidate
from crossrank.retrieval.fusion import reciprocal_rank_fusion


def ranking(*positions: int) -> list[Candidate]:
    return [Candidate(position, 0.0) for position in positions]


def test_scores_are_the_sums_of_reciprocal_ranks() -> None:
    fused = reciprocal_rank_fusion([ranking(7, 3), ranking(3, 5, 7)])
    assert [candidate.position for candidate in fused] == [3, 7, 5]
    expected = [1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62]
    assert [candidate.score for candidate in fused] == pytest.approx(expected)


def test_smaller_k_favours_the_first_ranks() -> None:
    rankings = [ranking(0, 1), ranking(2, 1), ranking(3, 4, 5)]
    assert reciprocal_rank_fusion(rankings, k=0)[0].position == 0
    assert reciprocal_rank_fusion(rankings)[0].position == 1


def test_first_stage_scores_are_not_read() -> None:
    low, high = [Candidate(0, 0.1), Candidate(1, 0.0)], [Candidate(0, 900.0), Candidate(1, -5.0)]
    assert reciprocal_rank_fusion([low]) == reciprocal_rank_fusion([high])


def test_ties_go_to_the_better_rank() -> None:
    # With k = 0: 1/2 + 1/3 + 1/6 = 1/1, the latter at rank 1.
    rankings = [ranking(0, 9), ranking(10, 11, 9), ranking(12, 13, 14, 15, 16, 9)]
    order = [candidate.position for candidate in reciprocal_rank_fusion(rankings, k=0)]
    assert order[:4] == [0, 10, 12, 9]


def test_remaining_ties_go_to_the_lower_position() -> None:
    assert [c.position for c in reciprocal_rank_fusion([ranking(8), ranking(2), ranking(5)])] == [2, 5, 8]


def test_order_of_the_rankings_does_not_matter() -> None:
    # Added up as floats, 1/61 + 1/63 + 1/67 depends on the order.
    rankings = [ranking(0, 1), ranking(2, 3, 0), ranking(4, 5, 6, 7, 8, 9, 0)]
    fused = [reciprocal_rank_fusion(order) for order in permutations(rankings)]
    assert all(one == fused[0] for one in fused)


def test_nothing_fused_is_nothing() -> None:
    assert reciprocal_rank_fusion([]) == reciprocal_rank_fusion([[], []]) == []
