"""Rotary position embeddings (Su et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Tensor, constant


def inverse_frequencies(size: int, theta: float) -> NDArray[np.float32]:
    """By how much each pair of a head's numbers turns from one position to the next, float32 [size / 2].

    Example:
        >>> inverse_frequencies(4, 100.0).tolist()
        [1.0, 0.10000000149011612]
    """
    exponents = np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    return np.asarray(1 / np.float32(theta) ** exponents, np.float32)


@dataclass(frozen=True)
class Rotation:
    """What the heads of a batch are turned by.

    Attributes:
        cos: Cosines of the angles, [1, length, 1, d].
        sin: Their sines.
    """

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(
        cls, frequencies: NDArray[np.float32], *, longest: int, length: Tensor, scale: float = 1.0
    ) -> Rotation:
        """The rotation of the positions from 0 to ``length`` - 1.

        Args:
            frequencies: See :func:`inverse_frequencies`.
            longest: The largest length.
            length: The length of the batch, int64 [1].
            scale: What the heads are also multiplied by.
        """
        # A table, since angles computed in bfloat16 would be wrong; in float32, as other libraries do.
        angles = np.arange(longest, dtype=np.float32)[:, None] * np.tile(frequencies, 2)
        return cls(*(_rows(function(angles) * np.float32(scale), length) for function in (np.cos, np.sin)))

    @property
    def first(self) -> Rotation:
        """The rotation of position 0 alone."""
        begin, end, step, axis = constant([0]), constant([1]), constant([1]), constant([1])
        return Rotation(*(op.slice(x, begin, end, step, axis).output(0) for x in (self.cos, self.sin)))

    def __call__(self, x: Tensor) -> Tensor:
        """Turn heads, [batch, length, heads, d]: number i of the first half with number i of the second."""
        half = self.cos.get_partial_shape()[3].get_length() // 2
        # In this form, with slices, the engine recognises a rotation and makes one operation of it.
        one = op.slice(x, constant([0]), constant([half]), constant([1]), constant([3]))
        two = op.slice(x, constant([half]), constant([2 * half]), constant([1]), constant([3]))
        turned = op.concat([op.multiply(two, constant(-1, np.float32)), one], -1)
        return op.add(op.multiply(x, self.cos), op.multiply(turned, self.sin)).output(0)


def _rows(table: NDArray[np.float32], length: Tensor) -> Tensor:
    rows = op.slice(op.constant(table), constant([0]), length, constant([1]), constant([0]))
    return op.unsqueeze(rows, constant([0, 2])).output(0)
