"""Whether a ranking can be trusted: logits that are all alike, and orders that contradict the first stage."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

from crossrank.documents import Candidate
from crossrank.ranking.reading import Output

# Fewer candidates say nothing.
_FEWEST = 5
# The rounding of the arithmetics moves a logit about as much.
_ALIKE = 0.02
# The normal quantile that 1 of 1,000 rankings in a random order is below.
_AGAINST = -3.1
# The rankings that are looked at together, and how many are enough.
_LAST, _ENOUGH = 100, 30
# The quantile that a random order exceeds in 1 of 20 cases.
_CHANCE = 1.645


class Trust:
    """Watches the rankings of one model. Thread-safe.

    The model's order is compared with the first stage's by Kendall's tau, over candidates that came from a
    first stage. A single ranking is reported if the two are opposed, which no random order explains. For
    single questions a good model may disagree with its first stage, but not for all: so the last hundred
    rankings are reported if together they agree no more than random orders would.

    Source:
        Kendall, A New Measure of Rank Correlation (1938), with its variance for a random order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: deque[tuple[float, float]] = deque(maxlen=_LAST)  # tau and its variance

    def __reduce__(self) -> tuple[type[Trust], tuple[()]]:
        return type(self), ()  # a lock cannot be pickled, and a copy starts with none

    def notices(
        self, model: str, candidates: Sequence[Candidate], outputs: Mapping[int, Output]
    ) -> list[str]:
        """What to tell of a ranking.

        Args:
            model: The model's name.
            candidates: The candidates.
            outputs: The model's outputs by the place of the candidate; only of those that were read.
        """
        places = sorted(outputs)
        texts = {candidates[place].document.content for place in places}
        if len(texts) < _FEWEST:
            return []
        logits = np.array([outputs[place].logit for place in places])
        if np.ptp(logits) < _ALIKE:
            return [
                f"{model} gives all {len(places)} candidates nearly the same logit ({logits.mean():.2f}), so "
                "its order says nothing; it may not be made for such texts."
            ]
        if not all(candidates[place].evidence or candidates[place].score is not None for place in places):
            return []  # in the caller's order, which may be any
        tau, variance = kendall([-candidates[place].rank for place in places], logits.tolist())
        with self._lock:
            self._last.append((tau, variance))
            last = list(self._last)
        if tau / sqrt(variance) < _AGAINST:
            return [
                f"{model} orders the candidates against the first stage (Kendall's tau {tau:.2f}): read the "
                "hits with care, or compare both with crossrank eval."
            ]
        together = sum(tau for tau, _ in last) / sqrt(sum(variance for _, variance in last))
        if len(last) >= _ENOUGH and together < _CHANCE:
            return [
                f"over the last {len(last)} questions, {model} agreed with the first stage no more than "
                "chance would: it may make this search worse. Measure it with crossrank eval --tune."
            ]
        return []


def kendall(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Kendall's tau of two orders, and its variance for a random order; ties count as neither.

    Args:
        a: At least two numbers.
        b: As many.

    Example:
        >>> kendall([1, 2, 3], [10, 20, 30])[0], kendall([1, 2, 3], [3, 2, 1])[0]
        (1.0, -1.0)
    """
    count = len(a)
    first, second = np.triu_indices(count, 1)
    x, y = np.asarray(a, float), np.asarray(b, float)
    signs = np.sign(x[first] - x[second]) * np.sign(y[first] - y[second])
    return float(signs.mean()), 2 * (2 * count + 5) / (9 * count * (count - 1))
