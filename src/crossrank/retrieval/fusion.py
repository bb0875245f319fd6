"""Rank fusion: several rankings are combined into one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import fsum
from typing import NamedTuple


class Fused(NamedTuple):
    """The number of a passage, its fused score, and its rank in each ranking, from 1, by name."""

    passage: int
    score: float
    ranks: Mapping[str, int]


def reciprocal_rank_fusion(
    rankings: Mapping[str, Sequence[int]], *, weights: Mapping[str, float] | None = None, k: int = 60
) -> list[Fused]:
    """Fuse rankings by rank, so that scores on different scales need no calibration.

    A passage's score is the sum of weight / (k + rank) over the rankings that contain it, ranks from 1
    (Cormack, Clarke and Buettcher, 2009, https://doi.org/10.1145/1571941.1572114).

    Args:
        rankings: Numbers of passages, best first, by the name of the ranking.
        weights: The weight of each ranking, by name; 1 by default.
        k: The constant of the formula; a higher k favours the first ranks less. 60 is the paper's value.

    Returns:
        Each passage once, best first; ties are ordered by best rank, then by number.

    Example:
        >>> fused = reciprocal_rank_fusion({"lexical": [0, 1], "dense": [1, 2]})
        >>> [(passage, ranks) for passage, _, ranks in fused]
        [(1, {'lexical': 2, 'dense': 1}), (0, {'lexical': 1}), (2, {'dense': 2})]
    """
    weights = weights or {}
    ranks: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for name, ranking in rankings.items():
        for rank, passage in enumerate(ranking, start=1):
            ranks[passage][name] = rank
    # fsum is exact, so the order of the rankings cannot break a tie.
    fused = [
        Fused(passage, fsum(weights.get(name, 1) / (k + rank) for name, rank in held.items()), held)
        for passage, held in ranks.items()
    ]
    return sorted(fused, key=lambda found: (-found.score, min(found.ranks.values()), found.passage))
