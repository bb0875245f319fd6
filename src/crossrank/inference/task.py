"""What a model is loaded for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from crossrank.families.model import Model
from crossrank.inference.sample_texts import Candidates
from crossrank.inference.tokenizer import Tokenizer, Tokens

if TYPE_CHECKING:
    from crossrank.families.graphs.openvino_library import ov
    from crossrank.families.graphs.operations import Products


class Task(Protocol):
    """Which graph to build, which inputs to try it with, and what it ranks by."""

    def build(self, model: Model, *, products: Products = "float") -> ov.Model:
        """The graph, [batch, d]."""

    def inputs(self, tokenizer: Tokenizer, candidates: Sequence[Candidates]) -> list[Tokens]:
        """The inputs for questions with their passages."""

    def ranked_by(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The numbers that the passages are ranked by, [n], of the outputs for such inputs."""
