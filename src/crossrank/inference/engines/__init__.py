"""What runs a model: inputs in, numbers out. One file an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.inference.tokenizer import Tokens

Progress: TypeAlias = Callable[[int], object]
"""Called with the number of inputs done since the last call."""


class Engine(Protocol):
    """A model ready to run. Safe to call from any number of threads at once.

    How inputs become batches is the engine's own affair: what is fast differs from one to the next.

    Attributes:
        on_gpu: Whether it computes on a GPU; the processor then has time to tokenise the next texts.
    """

    on_gpu: bool

    def run(self, inputs: Sequence[Tokens], progress: Progress | None = None) -> NDArray[np.float32]:
        """Run at least one input and return the outputs in the same order, float32 [n, d]."""
        ...
