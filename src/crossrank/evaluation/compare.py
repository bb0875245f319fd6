"""Whether one run is better than another, or only luckier with these queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crossrank.errors import InputError
from crossrank.evaluation.measures import Evaluation

RESAMPLES = 10_000
"""How many resamples of the queries an interval is drawn from, and how many sign flips a p-value."""

_SEED = 0
_CHUNK = 500  # resamples at a time: keeps 10,000 queries under 50 MB
_SAME = 1e-9  # values closer than this differ by floating-point rounding alone


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the run b compares with the run a on one measure, query by query.

    Attributes:
        measure: The measure.
        mean_a: Mean of a over the queries.
        mean_b: Mean of b over the same queries.
        difference: ``mean_b - mean_a``: positive where b is better.
        interval: 95% confidence interval of the difference, lower and upper end.
        p_value: How often a difference this large, in either direction, comes about when it is chance which
            run got which value; two-sided.
        queries: How many queries.
        wins: On how many b is better.
        losses: On how many a is better.
        ties: On how many they are equal.
    """

    measure: str
    mean_a: float
    mean_b: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    queries: int
    wins: int
    losses: int
    ties: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, by the names of an experiment: ``first_stage`` is a, ``reranked`` is b."""
        return {
            "first_stage": self.mean_a,
            "reranked": self.mean_b,
            "difference": self.difference,
            "interval_95": list(self.interval),
            "p_value": self.p_value,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
        }


def compare(a: Evaluation, b: Evaluation, measure: str = "nDCG@10") -> Comparison:
    """Compare two runs over the same queries: read it as the step from a to b.

    The interval is the paired bootstrap's: queries are drawn with replacement, and the middle 95% of the
    mean differences kept (percentile method). The p-value is the paired randomisation test's: the sign of
    each query's difference is flipped at random, and the differences at least as large as the real one are
    counted, the real one among them, so it is never 0. Seeds are fixed: the same input, the same numbers.

    Args:
        a: The baseline's evaluation, such as the first stage's.
        b: The evaluation to compare with it, such as the reranker's; over the same queries.
        measure: One of ``MEASURES``.

    Returns:
        Means, difference, interval, p-value and counts.

    Raises:
        InputError: The two were not evaluated on the same queries, there are none, or the measure is not
            among theirs.

    Example:
        >>> a = Evaluation({}, {"q1": {"nDCG@10": 0.2}, "q2": {"nDCG@10": 0.5}})
        >>> b = Evaluation({}, {"q1": {"nDCG@10": 0.6}, "q2": {"nDCG@10": 0.5}})
        >>> comparison = compare(a, b)
        >>> round(comparison.difference, 3), comparison.wins, comparison.ties
        (0.2, 1, 1)

    Source:
        Smucker, Allan and Carterette, A Comparison of Statistical Significance Tests for Information
        Retrieval Evaluation (CIKM 2007), https://doi.org/10.1145/1321440.1321528. Counting the real
        difference: Phipson and Smyth, Permutation P-values Should Never Be Zero (2010).
    """
    import numpy as np

    values_a, values_b = paired_values(a, b, measure)
    differences = np.subtract(values_b, values_a)
    differences[np.abs(differences) < _SAME] = 0.0
    return Comparison(
        measure=measure,
        mean_a=float(np.mean(values_a)),
        mean_b=float(np.mean(values_b)),
        difference=float(differences.mean()),
        interval=mean_interval(differences.tolist()),
        p_value=_randomisation_p_value(differences.tolist()),
        queries=len(differences),
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        ties=int((differences == 0).sum()),
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95% confidence interval of a mean over queries, by the percentile bootstrap.

    Args:
        values: One value a query, at least one.

    Returns:
        Lower and upper end, in the values' unit; the same for the same values.

    Raises:
        InputError: There are no values.

    Example:
        >>> mean_interval([0.5, 0.5, 0.5])
        (0.5, 0.5)

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    import numpy as np

    if not values:
        raise InputError("there are no values to take a mean of; evaluate at least one query")
    sample = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(_SEED)
    means = [
        sample[random.integers(len(sample), size=(_CHUNK, len(sample)))].mean(axis=1)
        for _ in range(RESAMPLES // _CHUNK)
    ]
    lower, upper = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(lower), float(upper)


def paired_values(a: Evaluation, b: Evaluation, measure: str) -> tuple[list[float], list[float]]:
    """Both runs' values of a measure, in the same order of queries.

    Args:
        a: One evaluation.
        b: Another, over the same queries.
        measure: One of the measures of both.

    Returns:
        The values of a and those of b, one a query, in a's order.

    Raises:
        InputError: The queries are not the same, there are none, or the measure is not among theirs.

    Example:
        >>> paired_values(Evaluation({}, {"q1": {"m": 0.1}}), Evaluation({}, {"q1": {"m": 0.2}}), "m")
        ([0.1], [0.2])
    """
    if not a.per_query:
        raise InputError("there are no queries to compare; evaluate both runs first")
    if alone := sorted(a.per_query.keys() ^ b.per_query.keys()):
        raise InputError(
            f"only one of the two evaluations has query {alone[0]!r} ({len(alone)} such queries); "
            "evaluate both runs on the same judgements"
        )
    for evaluation in (a, b):
        for values in evaluation.per_query.values():
            if measure not in values:
                raise InputError(f"there is no measure {measure!r}; choose one of {', '.join(values)}")
    return (
        [values[measure] for values in a.per_query.values()],
        [b.per_query[query][measure] for query in a.per_query],
    )


def _randomisation_p_value(differences: Sequence[float]) -> float:
    import numpy as np

    sample = np.asarray(differences, dtype=np.float64)
    real = abs(sample.sum())
    random = np.random.default_rng(_SEED)
    as_large = 0
    for _ in range(RESAMPLES // _CHUNK):
        signs = random.integers(2, size=(_CHUNK, len(sample)), dtype=np.int8) * 2 - 1
        as_large += int((np.abs(signs @ sample) >= real - _SAME).sum())
    return (as_large + 1) / (RESAMPLES + 1)
