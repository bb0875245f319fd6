"""Inputs of one batch, end to end: what a network takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pack:
    """Inputs of one batch, end to end.

    Attributes:
        ids: Token ids, int32 [tokens].
        types: Token types, int32 [tokens].
        lengths: Tokens of each input, int32 [n].
    """

    ids: NDArray[np.int32]
    types: NDArray[np.int32]
    lengths: NDArray[np.int32]

    @property
    def bounds(self) -> NDArray[np.int32]:
        """Where each input begins, and where the last one ends, int32 [n + 1]."""
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)

    def common_prefix(self) -> int:
        """How many tokens all inputs begin with; each has at least one more.

        Example:
            >>> Pack(np.int32([5, 6, 7, 5, 6]), np.int32([0] * 5), np.int32([3, 2])).common_prefix()
            1
        """
        starts, most = self.bounds[:-1], int(self.lengths.min()) - 1
        first = self.ids[:most]
        rows = self.ids[starts[:, np.newaxis] + np.arange(most)]
        different = np.flatnonzero((rows != first).any(axis=0))
        return int(different[0]) if len(different) else most

    def positions(self, shifted_by: int | None = None) -> NDArray[np.int32]:
        """Each token's position in its own input, int32 [tokens].

        Args:
            shifted_by: The padding token, for RoBERTa's family: counted from the number after it, padding
                tokens left out. A padding token has its own number, also where somebody wrote one out.

        Example:
            >>> Pack(np.int32([5, 1, 7]), np.int32([0, 0, 0]), np.int32([3])).positions(shifted_by=1).tolist()
            [2, 1, 3]
        """
        starts = self.bounds[:-1]
        if shifted_by is None:
            return np.arange(len(self.ids), dtype=np.int32) - np.repeat(starts, self.lengths)
        counted = (self.ids != shifted_by).astype(np.int32)
        sums = np.cumsum(counted, dtype=np.int32)
        before = np.repeat((sums - counted)[starts], self.lengths)
        positions: NDArray[np.int32] = (sums - before) * counted + np.int32(shifted_by)
        return positions
