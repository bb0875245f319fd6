"""Whether two series of numbers rank alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spearman(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Spearman's rank correlation of two series; equal values share their mean rank.

    Of a series of equal values, whose order says nothing, it is 1 with itself and 0 with any other.

    Example:
        >>> round(spearman(np.float32([1, 2, 3, 4]), np.float32([1, 2, 4, 3])), 6)
        0.8
    """
    a, b = _ranks(first), _ranks(second)
    if np.array_equal(a, b):
        return 1.0
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which])
