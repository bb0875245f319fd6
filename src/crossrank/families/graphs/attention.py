"""Attention over all tokens of an input, or over a window around each."""

from __future__ import annotations

import math

import numpy as np

from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Tensor, constant

# Added to the attention score of padding: softmax then gives exactly 0, and nothing overflows.
MASKED = np.float32(1e9)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention of each query to all keys.

    Args:
        query: [batch, queries, heads, d], scaled.
        key: [batch, keys, heads, d].
        value: As ``key``.
        bias: Added to the scores; [batch or 1, heads or 1, queries or 1, keys].

    Returns:
        [batch, queries, heads * d].
    """
    q, k, v = (op.transpose(x, constant([0, 2, 1, 3])) for x in (query, key, value))
    context = op.matmul(op.softmax(op.add(op.matmul(q, k, False, True), bias), -1), v, False, False)
    return op.reshape(op.transpose(context, constant([0, 2, 1, 3])), constant([0, 0, -1]), True)


def mask_bias(mask: Tensor) -> Tensor:
    """What hides padding when it is added to scores, [batch, 1, 1, length], of a mask [batch, length]."""
    numbers = op.subtract(op.convert(mask, "f32"), constant(1, np.float32))
    return op.unsqueeze(op.multiply(numbers, constant(MASKED, np.float32)), constant([1, 2]))


def length_of(x: Tensor) -> Tensor:
    """The second dimension of a tensor, int64 [1]."""
    return op.gather(op.shape_of(x, "i64"), constant([1]), constant(0))


class Window:
    """Attention of each token to the tokens that are at most ``reach`` away.

    Tokens are cut into blocks, and each block attends to itself and to ``reach`` tokens on both sides. So the
    work grows with the length, not with its square. A short input, for which that would be more work, is one
    block.

    Args:
        mask: int32 [batch, length], 1 for a token and 0 for padding.
        reach: How far a token sees on each side.
    """

    def __init__(self, mask: Tensor, reach: int) -> None:
        self.reach = reach
        self._length = length_of(mask)
        # A block of ``reach`` tokens sees three times as many; one block sees its whole length.
        is_short = op.less_equal(self._length, constant([3 * reach + reach // 2]))
        self._block = op.select(is_short, self._length, constant([reach]))
        around = op.select(is_short, constant([0]), constant([reach]))
        self._width = op.add(self._block, op.add(around, around))
        last = op.subtract(self._length, constant([1]))
        blocks = op.add(op.divide(last, self._block), constant([1]))
        starts = op.multiply(op.unsqueeze(_numbers(blocks), constant(1)), self._block)
        # Positions of each block's queries and keys; those outside the input are taken from its ends.
        queries = op.add(starts, _numbers(self._block))
        keys = op.add(starts, op.subtract(_numbers(self._width), around))
        self._queries = op.reshape(op.minimum(queries, last), constant([-1]), False)
        self._keys = op.reshape(op.maximum(op.minimum(keys, last), constant(0)), constant([-1]), False)
        # [blocks, block, width]
        distance = op.abs(op.subtract(op.unsqueeze(queries, constant(2)), op.unsqueeze(keys, constant(1))))
        outside = op.logical_or(op.less(keys, constant(0)), op.greater(keys, last))
        hidden = op.logical_or(op.greater(distance, constant(reach)), op.unsqueeze(outside, constant(1)))
        band = op.multiply(op.convert(hidden, "f32"), constant(-MASKED, np.float32))
        padding = op.gather(mask_bias(mask), self._keys, constant(3))
        padding = op.reshape(
            padding, op.concat([constant([-1]), blocks, constant([1]), self._width], 0), False
        )
        shape = op.concat([constant([-1, 1]), self._block, self._width], 0)
        self._bias = op.reshape(op.add(padding, band), shape, False)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention within the window; see :func:`attend`."""
        q = _cut(query, self._queries, self._block)
        k, v = (_cut(x, self._keys, self._width) for x in (key, value))
        context = attend(q, k, v, self._bias)  # [batch * blocks, block, heads * d]
        batch = op.gather(op.shape_of(query, "i64"), constant([0]), constant(0))
        hidden = math.prod(value.get_partial_shape()[axis].get_length() for axis in (2, 3))
        rows = op.reshape(context, op.concat([batch, constant([-1, hidden])], 0), False)
        return op.slice(rows, constant([0]), self._length, constant([1]), constant([1]))


def _cut(x: Tensor, places: Tensor, size: Tensor) -> Tensor:
    """[batch, length, heads, d] to blocks of ``size`` tokens, [batch * blocks, size, heads, d]."""
    heads, width = (x.get_partial_shape()[axis].get_length() for axis in (2, 3))
    shape = op.concat([constant([-1]), size, constant([heads, width])], 0)
    return op.reshape(op.gather(x, places, constant(1)), shape, False).output(0)


def _numbers(count: Tensor) -> Tensor:
    """0 to ``count`` - 1, int64; ``count`` is int64 [1]."""
    return op.range(constant(0), op.squeeze(count, constant(0)), constant(1), "i64")
