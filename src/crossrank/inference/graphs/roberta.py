"""RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): shifted positions, one token type."""

from __future__ import annotations

from crossrank.inference.graphs.bert import BERT_LAYER
from crossrank.inference.graphs.encoder import Encoder, shifted_positions
from crossrank.inference.graphs.operations import Tensor
from crossrank.inference.openvino_library import op


class Roberta(Encoder):
    """``roberta``, ``xlm-roberta``, ``camembert``."""

    prefix = "roberta."
    layer_names = BERT_LAYER

    def embed(self) -> Tensor:
        """Words, positions counted from after the padding token's id, the one token type; layer norm."""
        ids = self.inputs["input_ids"]
        x = self.ops.embedding(ids, "embeddings.word_embeddings")
        numbers = shifted_positions(ids, self.pad_id)
        x = op.add(x, self.ops.embedding(numbers, "embeddings.position_embeddings"))
        x = op.add(x, op.constant(self.ops.tensor("embeddings.token_type_embeddings.weight")[:1]))
        return self.ops.layer_norm(x, "embeddings.LayerNorm", self.epsilon)

    def classify(self, first: Tensor) -> Tensor:
        """A dense layer with tanh, then the output projection; there is no pooler."""
        return self.ops.linear(op.tanh(self.ops.linear(first, "classifier.dense")), "classifier.out_proj")
