"""Fit weights of features on the order of candidates within their queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_PENALTY = 1e-3


def listwise_weights(tables: Sequence[Values], relevant: Sequence[NDArray[np.bool_]]) -> Values:
    """The weights of a softmax over each query's candidates, by maximum likelihood; none is negative.

    Candidates are compared within their query only. A feature whose weight would be negative is left out.

    Args:
        tables: For each query, the features of its candidates, [n, f].
        relevant: For each query, which candidates are relevant, [n]; queries without one do not count.

    Returns:
        One weight for each feature, [f].

    Example:
        >>> tables = [np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 5.0], [3.0, 1.0]])]
        >>> weights = listwise_weights(tables, [np.array([True, False]), np.array([False, True])])
        >>> bool(weights[0] > 0 == weights[1])
        True

    Source:
        ListNet's loss: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach (ICML 2007);
        with one relevant candidate, McFadden's conditional logit (1974).
    """
    spread = np.concatenate(list(tables)).std(axis=0) + 1e-9
    judged = [(table, want) for table, want in zip(tables, relevant, strict=True) if want.any()]
    pairs = [(table / spread, want / want.sum()) for table, want in judged]
    used = list(range(len(spread))) if pairs else []
    weights = np.zeros(len(spread))
    while used:
        weights = np.zeros(len(spread))
        weights[used] = _newton([(table[:, used], want) for table, want in pairs])
        if weights.min() >= 0:
            break
        used.remove(int(weights.argmin()))
        weights = np.zeros(len(spread))
    return np.asarray(weights / spread)


def _newton(pairs: Sequence[tuple[Values, Values]]) -> Values:
    """Minimise ListNet's loss with a small penalty, which keeps weights finite; the loss is convex."""
    count = pairs[0][0].shape[1]
    weights = np.zeros(count)

    def loss(at: Values) -> float:
        total = _PENALTY * float(at @ at)
        for table, want in pairs:
            values = table @ at
            total -= float(
                want @ (values - values.max() - np.log(np.exp(values - values.max()).sum()))
            ) / len(pairs)
        return total

    for _ in range(50):
        gradient, hessian = 2 * _PENALTY * weights, 2 * _PENALTY * np.eye(count)
        for table, want in pairs:
            values = table @ weights
            share = np.exp(values - values.max())
            share /= share.sum()
            centred = table - share @ table
            gradient = gradient + (share - want) @ table / len(pairs)
            hessian = hessian + (centred * share[:, None]).T @ centred / len(pairs)
        step, size, now = np.linalg.solve(hessian, gradient), 1.0, loss(weights)
        while size > 1e-4 and loss(weights - size * step) > now:
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-7:
            break
    return weights
