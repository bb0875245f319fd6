from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from typing import Any

import pytest

from crossrank.retrieval.fusion import Fused, reciprocal_rank_fusion


def fuse(rankings: Iterable[list[int]], **options: Any) -> list[Fused]:
    return reciprocal_rank_fusion({str(n): ranking for n, ranking in enumerate(rankings)}, **options)


def test_scores_are_the_sums_of_reciprocal_ranks() -> None:
    fused = fuse([[7, 3], [3, 5, 7]])
    assert [found.passage for found in fused] == [3, 7, 5]
    expected = [1 / 62 + 1 / 61, 1 / 61 + 1 / 63, 1 / 62]
    assert [found.score for found in fused] == pytest.approx(expected)


def test_smaller_k_favours_the_first_ranks() -> None:
    rankings = [[0, 1], [2, 1], [3, 4, 5]]
    assert fuse(rankings, k=0)[0].passage == 0
    assert fuse(rankings)[0].passage == 1


def test_ties_go_to_the_better_rank() -> None:
    # With k = 0: 1/2 + 1/3 + 1/6 = 1/1, the latter at rank 1.
    rankings = [[0, 9], [10, 11, 9], [12, 13, 14, 15, 16, 9]]
    order = [found.passage for found in fuse(rankings, k=0)]
    assert order[:4] == [0, 10, 12, 9]


def test_remaining_ties_go_to_the_lower_number() -> None:
    assert [found.passage for found in fuse([[8], [2], [5]])] == [2, 5, 8]


def test_order_of_the_rankings_does_not_matter() -> None:
    # Added up as floats, 1/61 + 1/63 + 1/67 depends on the order.
    rankings = [[0, 1], [2, 3, 0], [4, 5, 6, 7, 8, 9, 0]]
    fused = [fuse(order) for order in permutations(rankings)]
    scored = [[(found.passage, found.score) for found in one] for one in fused]
    assert all(one == scored[0] for one in scored)


def test_weight_multiplies_what_a_ranking_gives() -> None:
    fused = reciprocal_rank_fusion({"a": [0, 1], "b": [2]}, weights={"b": 0.5})
    assert [(found.passage, found.score) for found in fused] == [(0, 1 / 61), (1, 1 / 62), (2, 0.5 / 61)]


def test_passage_has_its_rank_in_each_ranking() -> None:
    fused = reciprocal_rank_fusion({"a": [0, 1], "b": [1]})
    assert [dict(found.ranks) for found in fused] == [{"a": 2, "b": 1}, {"a": 1}]


def test_nothing_fused_is_nothing() -> None:
    assert fuse([]) == fuse([[], []]) == []
