"""What runs a model: arrays of tokens in, arrays of numbers out. One file an engine."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """A model ready to run. Safe to call from any number of threads at once."""

    def run(self, batches: list[dict[str, NDArray[np.int32]]]) -> list[NDArray[np.float32]]:
        """Run batches, in any order, and return one array [batch, ...] for each, in the given order.

        Args:
            batches: ``input_ids``, ``attention_mask`` and ``token_type_ids``, each int32 [batch, length].
        """
        ...
