"""Packing: inputs are concatenated to one row, so that no work is wasted on padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.families.networks.pack import Pack
from crossrank.inference.tokenizer import Tokens


def pack(inputs: Sequence[Tokens]) -> Pack:
    """Concatenate at least one input."""
    return Pack(
        np.concatenate([tokens.ids for tokens in inputs]),
        np.concatenate([tokens.types for tokens in inputs]),
        np.array([len(tokens.ids) for tokens in inputs], np.int32),
    )


def fitting(lengths: NDArray[np.intp], budget: int, *, padded: bool) -> int:
    """How many of the first inputs fit into a batch; at least one.

    Args:
        lengths: Number of tokens of each input, longest first.
        budget: Maximum number of tokens per batch.
        padded: Whether all inputs are padded to the longest.

    Example:
        >>> fitting(np.array([50, 40, 10, 10]), 100, padded=False)
        3
        >>> fitting(np.array([50, 40, 10, 10]), 100, padded=True)
        2
    """
    if padded:
        return max(1, min(len(lengths), budget // int(lengths[0])))
    return max(1, int(np.searchsorted(np.cumsum(lengths), budget, side="right")))
