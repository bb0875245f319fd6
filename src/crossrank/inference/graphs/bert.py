"""BERT (Devlin et al. 2019): token types, a pooler before the classifier."""

from __future__ import annotations

from crossrank.inference.graphs.encoder import Encoder, LayerNames, positions
from crossrank.inference.graphs.operations import Tensor
from crossrank.inference.openvino_library import op

BERT_LAYER = LayerNames(
    query="encoder.layer.{}.attention.self.query",
    key="encoder.layer.{}.attention.self.key",
    value="encoder.layer.{}.attention.self.value",
    attention_output="encoder.layer.{}.attention.output.dense",
    attention_norm="encoder.layer.{}.attention.output.LayerNorm",
    up="encoder.layer.{}.intermediate.dense",
    down="encoder.layer.{}.output.dense",
    output_norm="encoder.layer.{}.output.LayerNorm",
)


class Bert(Encoder):
    """``bert``."""

    prefix = "bert."
    layer_names = BERT_LAYER
    has_token_types = True

    def embed(self) -> Tensor:
        """Words, positions and token types, then layer norm."""
        ids = self.inputs["input_ids"]
        x = self.ops.embedding(ids, "embeddings.word_embeddings")
        x = op.add(x, self.ops.embedding(self.inputs["token_type_ids"], "embeddings.token_type_embeddings"))
        x = op.add(x, self.ops.embedding(positions(ids), "embeddings.position_embeddings"))
        return self.ops.layer_norm(x, "embeddings.LayerNorm", self.epsilon)

    def classify(self, first: Tensor) -> Tensor:
        """Pooler with tanh, then the classifier."""
        return self.ops.linear(op.tanh(self.ops.linear(first, "pooler.dense")), "classifier")
