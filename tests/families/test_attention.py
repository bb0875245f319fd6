"""Attention to a window of tokens: the same numbers as with a mask, for work that grows with the length."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.families.graphs.attention import Window, attend, mask_bias
from crossrank.families.graphs.openvino_library import op, ov
from crossrank.families.graphs.operations import constant
from crossrank.families.jina_bert import alibi_slopes

REACH, HEADS, SIZE = 8, 2, 4


def run(result: object, inputs: dict[object, NDArray[np.generic]]) -> NDArray[np.float32]:
    compiled = ov.Core().compile_model(
        ov.Model([result], list(inputs)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return np.asarray(compiled(list(inputs.values()))[0])


# One block, where another token would make blocks cheaper, whole blocks, and a last block of one token.
@pytest.mark.parametrize("length", [1, 5, 28, 29, 40, 41, 95])
def test_window_gives_what_a_mask_gives(length: int) -> None:
    dice = np.random.default_rng(length)
    q, k, v = (dice.standard_normal((3, length, HEADS, SIZE), np.float32) for _ in range(3))
    lengths = np.array([[length], [max(1, length - 9)], [1]])
    is_text = (np.arange(length) < lengths).astype(np.int32)
    mask = op.parameter([-1, -1], np.int32)
    nodes = [op.parameter([-1, -1, HEADS, SIZE], np.float32) for _ in range(3)]
    outputs = [node.output(0) for node in nodes]
    inputs = {mask: is_text, **dict(zip(nodes, (q, k, v), strict=True))}
    place = np.arange(length)
    far = np.where(np.abs(place[:, None] - place) > REACH, -1e9, 0)[None, None]
    expected = run(attend(*outputs, op.add(mask_bias(mask), constant(far, np.float32))), inputs)
    given = run(Window(mask, REACH).attend(*outputs), inputs)
    assert given.shape == (3, length, HEADS * SIZE)
    for row, tokens in enumerate(lengths[:, 0]):
        np.testing.assert_allclose(given[row, :tokens], expected[row, :tokens], rtol=0, atol=2e-6)


@pytest.mark.parametrize("length", [64, 640, 6400])
def test_work_of_a_window_grows_with_the_length_alone(length: int) -> None:
    mask = op.parameter([-1, -1], np.int32)
    scores = run(Window(mask, REACH)._bias, {mask: np.ones((1, length), np.int32)})
    assert scores.size == length * 3 * REACH


def test_slopes_of_twelve_heads_are_those_of_eight_and_every_second_of_sixteen() -> None:
    slopes = alibi_slopes(12)
    np.testing.assert_array_equal(slopes[:8], alibi_slopes(8))
    np.testing.assert_array_equal(slopes[8:], alibi_slopes(16)[:8:2])
    np.testing.assert_allclose(alibi_slopes(8), 0.5 ** np.arange(1, 9))
