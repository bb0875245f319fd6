"""What runs a model: arrays of tokens in, arrays of numbers out. One file an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Batch: TypeAlias = Mapping[str, NDArray[np.int32]]
"""``input_ids``, ``attention_mask`` and ``token_type_ids``, each int32 [batch, length]."""


class Engine(Protocol):
    """A model ready to run. Safe to call from any number of threads at once."""

    def run(self, batches: Sequence[Batch]) -> list[NDArray[np.float32]]:
        """Run batches, in any order, and return one array [batch, ...] for each, in the given order."""
        ...
