"""ELECTRA (Clark et al. 2020): BERT with smaller embeddings projected up and another head."""

from __future__ import annotations

from crossrank.inference.graphs.bert import Bert
from crossrank.inference.graphs.operations import Tensor
from crossrank.inference.openvino_library import op


class Electra(Bert):
    """``electra``."""

    prefix = "electra."

    def embed(self) -> Tensor:
        """BERT's embeddings, projected to the hidden size where they are narrower."""
        x = super().embed()
        return self.ops.linear(x, "embeddings_project") if self.ops.has("embeddings_project.weight") else x

    def classify(self, first: Tensor) -> Tensor:
        """A dense layer with GELU, then the output projection."""
        inner = op.gelu(self.ops.linear(first, "classifier.dense"), "erf")
        return self.ops.linear(inner, "classifier.out_proj")
