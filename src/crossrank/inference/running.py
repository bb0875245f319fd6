"""Inputs through an engine, and back in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.inference.batching import make_batches
from crossrank.inference.engines import Engine
from crossrank.inference.tokenizer import Tokenizer, Tokens

Progress: TypeAlias = Callable[[int], object]
# With progress to show, the engine gets so many batches at a time.
_PORTION = 64


def run_inputs(
    engine: Engine, inputs: Sequence[Tokens], tokenizer: Tokenizer, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Run at least one input and return the outputs in the same order, float32 [n, d].

    Args:
        engine: What runs them.
        inputs: The inputs.
        tokenizer: What made them; it knows the padding token and the longest input.
        progress: Called with the number of inputs done since the last call.
    """
    batches = list(make_batches(inputs, pad_id=tokenizer.pad_id, limit=tokenizer.max_tokens))
    portion = _PORTION if progress else len(batches)
    rows: NDArray[np.float32] | None = None
    for start in range(0, len(batches), portion):
        part = batches[start : start + portion]
        outputs = engine.run([batch for _, batch in part])
        for (positions, _), output in zip(part, outputs, strict=True):
            if rows is None:
                rows = np.empty((len(inputs), output.shape[1]), np.float32)
            rows[positions] = output
        if progress:
            progress(sum(len(positions) for positions, _ in part))
    assert rows is not None, "the caller gives at least one input"
    return rows
