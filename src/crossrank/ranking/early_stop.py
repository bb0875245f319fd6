"""Read the promising candidates first, and stop when no other can be among the best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.inference.interpolation import EvidenceWeights, LogitForecast
from crossrank.ranking.effort import Effort

# With ``fast``: how many of the unread candidates would be among the best, on average.
_RISK = 0.01

# A query's own spread is uncertain after a few candidates; the general one counts like this many.
_PRIOR = 16


class EarlyStop:
    """Which candidates of one query to read next.

    Candidates are ranked by the sum of their evidence and what the logit adds, which is bounded: a model that
    may be wrong regardless of its logit (``EvidenceWeights.doubt``) never adds more than a certain amount. So
    candidates are read from the strongest evidence down: first a block, then those that can still be among
    the best, until these are above anything that the rest can reach. This is the threshold algorithm (Fagin,
    Lotem and Naor, 2003, https://doi.org/10.1016/S0022-0000(03)00026-6) with one list that is known and one
    that costs time.

    Args:
        weights: The weights that candidates are ranked with.
        evidence: The evidence for each candidate.
        top_n: How many of the best have to be known.
        effort: When to stop.
        block: How many candidates to read first.

    Example:
        >>> weights = EvidenceWeights(logit=1.0, constant=0.0, similarity=10.0, doubt=0.1)
        >>> found = [{"similarity": value} for value in (0.1, 0.9, 0.2)]
        >>> stop = EarlyStop(weights, found, top_n=1, block=1)
        >>> for place in stop.blocks():
        ...     print(place)
        ...     stop.add(place, [2.0])
        [1]
    """

    def __init__(
        self,
        weights: EvidenceWeights,
        evidence: Sequence[Mapping[str, float]],
        *,
        top_n: int,
        effort: Effort = "full",
        block: int,
    ) -> None:
        self._weights, self._known, self._top_n, self._block = weights, evidence, top_n, block
        self._forecast = weights.forecast if effort == "fast" else None
        # Candidates without a logit, and the most that they can reach.
        self._evidence = np.array([weights.combine(0.0, known) for known in evidence])
        self._bounds = np.array([weights.combine(math.inf, known) for known in evidence])
        self._order = np.argsort(-self._bounds, kind="stable")
        self._added = np.full(len(evidence), np.nan)
        self._sums = np.full(len(evidence), -np.inf)

    def blocks(self) -> Iterator[list[int]]:
        """The places of the candidates to read next; their logits have to be added before the next block."""
        read, size = 0, max(self._block, self._top_n)
        while size and read < len(self._order):
            yield self._order[read : read + size].tolist()
            read += size
            # As many at once as are still needed: large batches are fast.
            size = self._needed(self._order[:read], self._order[read:])

    def add(self, places: Sequence[int], logits: Sequence[float]) -> None:
        """Take the logits of candidates that were read."""
        for place, logit in zip(places, logits, strict=True):
            parts = self._weights.contributions(logit, self._known[place])
            self._added[place], self._sums[place] = parts["logit"], sum(parts.values())

    def _needed(self, read: NDArray[np.intp], unread: NDArray[np.intp]) -> int:
        """How many of the unread candidates, the first ones, have to be read by what is known now."""
        if not len(unread):
            return 0
        lowest = np.partition(self._sums[read], -self._top_n)[-self._top_n]
        # An equal sum may be of an earlier candidate, which would come first.
        possible = unread[self._bounds[unread] >= lowest]
        if not len(possible) or self._forecast is None:
            return len(possible)
        chances = self._chances(self._forecast, read, lowest - self._evidence[possible], possible)
        # Those from each on to the last, which would be left out together.
        left_out = np.cumsum(chances[::-1])[::-1]
        return int((left_out > _RISK).sum())

    def _chances(
        self,
        forecast: LogitForecast,
        read: NDArray[np.intp],
        needed: NDArray[np.float64],
        possible: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        """How probable it is for each possible candidate that its logit adds what it needs."""
        errors = self._added[read] - forecast.slope * self._evidence[read]
        middle = errors.mean()
        variance = (np.square(errors - middle).sum() + _PRIOR * forecast.spread**2) / (len(read) + _PRIOR)
        usual = middle + forecast.slope * self._evidence[possible]
        return forecast.shares_above((needed - usual) / np.sqrt(variance))
