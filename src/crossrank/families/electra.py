"""ELECTRA (Clark et al. 2020): BERT with smaller embeddings projected up and another head."""

from __future__ import annotations

from crossrank.families.bert import BertGraph, packed_bert, packed_bert_body
from crossrank.families.family import Family
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Tensor


class ElectraGraph(BertGraph):
    """BERT's layers between a projection and a head of its own."""

    prefix = "electra."

    def embed(self) -> Tensor:
        """BERT's embeddings, projected to the hidden size where they are narrower."""
        x = super().embed()
        return self.ops.linear(x, "embeddings_project") if self.ops.has("embeddings_project.weight") else x

    def classify(self, first: Tensor) -> Tensor:
        """A dense layer with GELU, then the output projection."""
        inner = op.gelu(self.ops.linear(first, "classifier.dense"), "erf")
        return self.ops.linear(inner, "classifier.out_proj")


FAMILY = Family(names=("electra",), graph=ElectraGraph, packed=packed_bert, packed_body=packed_bert_body)
