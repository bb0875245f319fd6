"""BERT (Devlin et al. 2019): token types, a pooler before the classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossrank.families.family import Family
from crossrank.families.graphs.encoder import Encoder, LayerNames, positions
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Tensor

if TYPE_CHECKING:
    import torch

    from crossrank.families.networks.bodies import Body
    from crossrank.families.networks.network import Network

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


class BertGraph(Encoder):
    """Words, positions and token types; a pooler, then the classifier."""

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


def packed_bert(network: Any, device: torch.device) -> Network:
    """transformers' classifier, without padding."""
    from crossrank.families.networks.bert import PackedBert

    return PackedBert(network, device)


def packed_bert_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, without padding."""
    from crossrank.families.networks.bert import BertBody

    return BertBody(network, device)


FAMILY = Family(names=("bert",), graph=BertGraph, packed=packed_bert, packed_body=packed_bert_body)
