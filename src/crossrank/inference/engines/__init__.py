"""The engines that run a model, one file per engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.inference.tokenizer import Tokens

Progress: TypeAlias = Callable[[int], object]
"""Called with the number of inputs done since the last call."""


class Engine(Protocol):
    """A model that is ready to run. Thread-safe.

    The engine batches the inputs itself, since the best batch size depends on the engine.

    Attributes:
        on_gpu: Whether it runs on a GPU; the CPU can then tokenise the next texts meanwhile.
    """

    on_gpu: bool

    def run(self, inputs: Sequence[Tokens], progress: Progress | None = None) -> NDArray[np.float32]:
        """Run at least one input and return the outputs in the same order, float32 [n, d]."""
        ...
