"""JinaBERT (Günther et al. 2023): BERT with ALiBi, which lowers scores by distance, and gated dense layers.

Its repositories call it ``bert`` and name Python code of their own, which is not run: the network is built
from the configuration and the tensors.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.families.bert import BERT_LAYER, BertGraph
from crossrank.families.family import Family, networks
from crossrank.families.graphs.encoder import positions
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Products, Tensor, activation, constant
from crossrank.families.model import Model

_GATED = replace(
    BERT_LAYER,
    up="encoder.layer.{}.mlp.gated_layers",
    down="encoder.layer.{}.mlp.wo",
    output_norm="encoder.layer.{}.mlp.layernorm",
)
_ACTIVATIONS = {"geglu": "gelu", "reglu": "relu"}


class JinaBertGraph(BertGraph):
    """BERT's embeddings without positions and its head; ALiBi, and mostly GEGLU or ReGLU in every layer."""

    position_type = "alibi"

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        super().__init__(model, products=products, layers=layers)
        kind = self.config.get("feed_forward_type", "original")
        if kind not in {*_ACTIVATIONS, "original"}:
            raise ModelError(f"{model.name}: feed_forward_type {kind!r:.40} in config.json is not supported")
        if self.ops.has("encoder.layer.0.attention.self.layer_norm_q.weight"):
            raise ModelError(f"{model.name} normalises queries and keys, which is not supported")
        self.is_gated = kind in _ACTIVATIONS
        if self.is_gated:
            self.layer_names, self.hidden_activation = _GATED, _ACTIVATIONS[kind]
        self.slopes = alibi_slopes(self.attention_heads)

    def embed(self) -> Tensor:
        """Words and token types, then layer norm."""
        x = self.ops.embedding(self.inputs["input_ids"], "embeddings.word_embeddings")
        types = self.ops.embedding(self.inputs["token_type_ids"], "embeddings.token_type_embeddings")
        return self.ops.layer_norm(op.add(x, types), "embeddings.LayerNorm", self.epsilon)

    def attention_bias(self) -> Tensor:
        """The distance of each pair of tokens below 0, [1, 1, length, length]; see :meth:`scores`."""
        here = op.convert(positions(self.inputs["input_ids"]), "f32")
        distance = op.abs(op.subtract(op.transpose(here, constant([1, 0])), here))
        return op.unsqueeze(op.negative(distance), constant([0, 1]))

    def scores(self, query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
        """Scores less each head's slope times the distance.

        The slopes are divided out of the queries and multiplied in after the sum, so that the heads share one
        matrix of distances: at 8,192 tokens, one for each head would take gigabytes.
        """
        slopes = self.slopes.reshape(1, -1, 1, 1)
        scaled = op.multiply(query, op.constant(np.float32(self.head_size**-0.5) / slopes))
        return op.multiply(op.add(op.matmul(scaled, key, False, True), bias), op.constant(slopes))

    def feed_forward(self, x: Tensor, number: int) -> Tensor:
        """A gated dense layer, then another; or BERT's own."""
        if not self.is_gated:
            return super().feed_forward(x, number)
        gate, up = self.ops.linears(x, self.layer_names.up.format(number), 2)
        inner = op.multiply(activation(self.hidden_activation, gate), up)
        return self.ops.linear(inner, self.layer_names.down.format(number))


def alibi_slopes(heads: int) -> NDArray[np.float32]:
    """How steeply the scores of each head fall with the distance (Press et al. 2022, section 3).

    A geometric sequence for a power of 2; for other numbers that of the next lower power, then every second
    slope of the next higher.

    Example:
        >>> alibi_slopes(6).tolist()
        [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]
    """

    def sequence(count: int) -> list[float]:
        return [2 ** (-8 * (head + 1) / count) for head in range(count)]

    lower = 2 ** math.floor(math.log2(heads))
    return np.array(sequence(lower) + sequence(2 * lower)[::2][: heads - lower], np.float32)


FAMILY = Family(
    names=("jina-bert",),
    graph=JinaBertGraph,
    known_code=networks("JinaBert"),
)
