"""One ranking of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import fsum

from crossrank.retrieval.base import Candidate


def reciprocal_rank_fusion(rankings: Sequence[Sequence[Candidate]], *, k: int = 60) -> list[Candidate]:
    """Fuse rankings by rank alone, so that scores on different scales need no calibration.

    A candidate's score is the sum of 1 / (k + rank) over the rankings that hold it, ranks from 1 (Cormack,
    Clarke and Buettcher, 2009, https://doi.org/10.1145/1571941.1572114).

    Args:
        rankings: Candidates over the same passages, best first; their scores are not read.
        k: How little the first ranks stand out; 60 is the paper's.

    Returns:
        Each candidate once, best first; equal ones by their best rank, then by position.

    Example:
        >>> lexical = [Candidate(0, 9.1), Candidate(1, 7.4)]
        >>> dense = [Candidate(1, 0.8), Candidate(2, 0.7)]
        >>> [candidate.position for candidate in reciprocal_rank_fusion([lexical, dense])]
        [1, 0, 2]
    """
    ranks: defaultdict[int, list[int]] = defaultdict(list)
    for ranking in rankings:
        for rank, candidate in enumerate(ranking, start=1):
            ranks[candidate.position].append(rank)
    # fsum is exact, so the order of the rankings cannot break a tie.
    scores = {position: fsum(1 / (k + rank) for rank in held) for position, held in ranks.items()}
    order = sorted(ranks, key=lambda position: (-scores[position], min(ranks[position]), position))
    return [Candidate(position, scores[position]) for position in order]
