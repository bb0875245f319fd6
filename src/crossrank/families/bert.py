"""BERT (Devlin et al. 2019): token types, a pooler before the classifier."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossrank.families.family import Family
from crossrank.families.graphs.encoder import Encoder, LayerNames, positions
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Products, Tensor
from crossrank.families.graphs.rotary import Rotation
from crossrank.families.model import Model

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


class RotaryBertGraph(BertGraph):
    """BERT without learnt positions; queries and keys are rotated in every layer instead.

    Attributes:
        embedding_norm: The layer norm of the embeddings.
    """

    embedding_norm = "embeddings.LayerNorm"

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        self.has_token_types = model.config.get("type_vocab_size", 0) > 1
        super().__init__(model, products=products, layers=layers)
        self.longest = model.max_tokens

    @abstractmethod
    def frequencies(self) -> NDArray[np.float32]:
        """The angle by which each pair of numbers turns from one position to the next, [head size / 2]."""

    def embed(self) -> Tensor:
        """Words and token types, if there are any, then layer norm."""
        x = self.ops.embedding(self.inputs["input_ids"], "embeddings.word_embeddings")
        if self.has_token_types:
            types = self.inputs["token_type_ids"]
            x = op.add(x, self.ops.embedding(types, "embeddings.token_type_embeddings"))
        elif self.config.get("type_vocab_size") == 1:
            x = op.add(x, op.constant(self.ops.tensor("embeddings.token_type_embeddings.weight")))
        return self.ops.layer_norm(x, self.embedding_norm, self.epsilon)

    def rotations(self, length: Tensor) -> tuple[Rotation, Rotation]:
        """The rotation of queries and keys."""
        turn = Rotation.of(self.frequencies(), longest=self.longest, length=length)
        return turn, turn


def packed_bert(network: Any, device: torch.device) -> Network:
    """transformers' classifier, without padding."""
    from crossrank.families.networks.bert import bert_classifier

    return bert_classifier(network, device)


def packed_bert_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, without padding."""
    from crossrank.families.networks.bert import BertBody

    return BertBody(network, device)


FAMILY = Family(names=("bert",), graph=BertGraph, packed=packed_bert, packed_body=packed_bert_body)
