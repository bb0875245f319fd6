"""One ranking of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import fsum

from crossrank.retrieval.base import Candidate


def reciprocal_rank_fusion(
    rankings: Mapping[str, Sequence[Candidate]], *, weights: Mapping[str, float] | None = None, k: int = 60
) -> list[Candidate]:
    """Fuse rankings by rank alone, so that scores on different scales need no calibration.

    A candidate's score is the sum of weight / (k + rank) over the rankings that hold it, ranks from 1
    (Cormack, Clarke and Buettcher, 2009, https://doi.org/10.1145/1571941.1572114).

    Args:
        rankings: By name, candidates over the same passages, best first; their scores are not read.
        weights: How much each ranking counts, by name; 1 where it is not said.
        k: How little the first ranks stand out; 60 is the paper's.

    Returns:
        Each candidate once, with its ``ranks``, best first; equal ones by their best rank, then by position.

    Example:
        >>> lexical = [Candidate(0, 9.1), Candidate(1, 7.4)]
        >>> dense = [Candidate(1, 0.8), Candidate(2, 0.7)]
        >>> fused = reciprocal_rank_fusion({"lexical": lexical, "dense": dense})
        >>> [(candidate.position, dict(candidate.ranks)) for candidate in fused]
        [(1, {'lexical': 2, 'dense': 1}), (0, {'lexical': 1}), (2, {'dense': 2})]
    """
    weights = weights or {}
    ranks: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for name, ranking in rankings.items():
        for rank, candidate in enumerate(ranking, start=1):
            ranks[candidate.position][name] = rank
    # fsum is exact, so the order of the rankings cannot break a tie.
    scores = {
        position: fsum(weights.get(name, 1) / (k + rank) for name, rank in held.items())
        for position, held in ranks.items()
    }
    order = sorted(ranks, key=lambda position: (-scores[position], min(ranks[position].values()), position))
    return [Candidate(position, scores[position], ranks=ranks[position]) for position in order]
