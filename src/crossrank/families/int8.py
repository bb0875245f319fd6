"""Rounding a model's matrices to int8."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantise_int8(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix [rows, d] to int8 with one scale a row [rows, 1], so that values are about int8 * scale.

    Symmetric rounding to nearest: no calibration data is needed, and the error of a weight is at most half
    of its row's scale.

    Example:
        >>> numbers, scale = quantise_int8(np.array([[1.0, -2.0]], np.float32))
        >>> numbers.tolist()
        [[64, -127]]
    """
    scale = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    scale = np.where(scale == 0, np.float32(1), scale).astype(np.float32)
    return np.round(values / scale).astype(np.int8), scale


def is_int8_matrix(name: str, values: NDArray[Any], kept_in_float: frozenset[str]) -> bool:
    """Whether a tensor becomes int8 in an int8 copy of its model.

    Args:
        name: The tensor's name.
        values: The tensor.
        kept_in_float: See :class:`crossrank.families.family.Family`.

    Example:
        >>> is_int8_matrix("layer.0.up.weight", np.ones((2, 2)), frozenset({"classifier"}))
        True
    """
    return values.ndim == 2 and name.endswith(".weight") and kept_in_float.isdisjoint(name.split("."))
