"""Inputs end to end in one row: no padding, and so no work that nobody needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.families.networks.pack import Pack
from crossrank.inference.tokenizer import Tokens


def pack(inputs: Sequence[Tokens]) -> Pack:
    """Put at least one input end to end."""
    return Pack(
        np.concatenate([tokens.ids for tokens in inputs]),
        np.concatenate([tokens.types for tokens in inputs]),
        np.array([len(tokens.ids) for tokens in inputs], np.int32),
    )


def fitting(lengths: NDArray[np.intp], budget: int, *, padded: bool) -> int:
    """How many of the first inputs make a batch: as many as the budget allows, and at least one.

    Args:
        lengths: Tokens of each input, longest first.
        budget: Tokens of a batch.
        padded: Whether all inputs take the room of the longest.

    Example:
        >>> fitting(np.array([50, 40, 10, 10]), 100, padded=False)
        3
        >>> fitting(np.array([50, 40, 10, 10]), 100, padded=True)
        2
    """
    if padded:
        return max(1, min(len(lengths), budget // int(lengths[0])))
    return max(1, int(np.searchsorted(np.cumsum(lengths), budget, side="right")))
