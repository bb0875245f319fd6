"""The encoder of BERT and of what is built like it: embeddings, post-norm layers, a head."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crossrank.errors import ModelError
from crossrank.families.graphs.graph import Graph
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Products, Tensor, activation, constant
from crossrank.families.model import Model

# Added to the attention score of padding: softmax then gives exactly 0, and nothing overflows.
_MASKED = np.float32(1e9)


@dataclass(frozen=True)
class LayerNames:
    """What a family calls the parts of one layer; ``{}`` stands for the layer's number."""

    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    up: str
    down: str
    output_norm: str


class Encoder(Graph):
    """Post-norm layers over absolute positions; see :class:`crossrank.families.graphs.graph.Graph`.

    Attributes:
        layer_names: What the family calls the parts of a layer.
    """

    layer_names: ClassVar[LayerNames]

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        super().__init__(model, products=products, layers=layers)
        self.hidden_size = self.setting("hidden_size")
        self.attention_heads = self.setting("num_attention_heads")
        self.epsilon = float(self.config.get("layer_norm_eps", 1e-12))
        self.hidden_activation = str(self.config.get("hidden_act", "gelu"))
        positions = self.config.get("position_embedding_type", "absolute")
        if positions != "absolute":
            raise ModelError(f"{model.name} uses {positions} position embeddings, which are not supported")
        if self.hidden_size % self.attention_heads:
            raise ModelError(f"{model.name}: hidden size {self.hidden_size} is no multiple of its heads")

    @abstractmethod
    def embed(self) -> Tensor:
        """Tokens to vectors, [batch, length, hidden]."""

    def attention_bias(self) -> Tensor | None:
        """What is added to every layer's attention scores, next to the mask; nothing in most families."""
        return None

    def hidden_states(self, *, only_first: bool = False) -> Tensor:
        """All layers; see :meth:`crossrank.families.graphs.graph.Graph.hidden_states`."""
        mask = op.convert(self.inputs["attention_mask"], "f32")
        masked = op.multiply(op.subtract(mask, constant(1, np.float32)), constant(_MASKED, np.float32))
        bias = op.unsqueeze(masked, constant([1, 2]))
        if (extra := self.attention_bias()) is not None:
            bias = op.add(bias, extra)
        x = self.embed()
        for number in range(self.layers):
            # A head that reads the first position needs of the last layer that position alone: its query
            # still attends to all keys and values, and the rest of the layer shrinks to one token.
            last = only_first and number == self.layers - 1
            if last and extra is not None:
                bias = op.slice(bias, constant([0]), constant([1]), constant([1]), constant([2]))
            x = self._layer(x, number, bias, only_first=last)
        return x

    def _layer(self, x: Tensor, number: int, bias: Tensor, *, only_first: bool) -> Tensor:
        def name(part: str) -> str:
            return part.format(number)

        names, ops = self.layer_names, self.ops
        queries = first_position(x) if only_first else x
        q = self._split_heads(ops.linear(queries, name(names.query)))
        k = self._split_heads(ops.linear(x, name(names.key)))
        v = self._split_heads(ops.linear(x, name(names.value)))
        size = self.hidden_size // self.attention_heads
        scores = op.matmul(op.multiply(q, constant(size**-0.5, np.float32)), k, False, True)
        context = op.matmul(op.softmax(op.add(scores, bias), -1), v, False, False)
        merged = op.reshape(
            op.transpose(context, constant([0, 2, 1, 3])), constant([0, 0, self.hidden_size]), True
        )
        attended = op.add(ops.linear(merged, name(names.attention_output)), queries)
        attended = ops.layer_norm(attended, name(names.attention_norm), self.epsilon)
        inner = activation(self.hidden_activation, ops.linear(attended, name(names.up)))
        output = op.add(ops.linear(inner, name(names.down)), attended)
        return ops.layer_norm(output, name(names.output_norm), self.epsilon)

    def _split_heads(self, x: Tensor) -> Tensor:
        size = self.hidden_size // self.attention_heads
        split = op.reshape(x, constant([0, 0, self.attention_heads, size]), True)
        return op.transpose(split, constant([0, 2, 1, 3]))


def first_position(x: Tensor) -> Tensor:
    """[batch, length, d] to [batch, 1, d]."""
    return op.slice(x, constant([0]), constant([1]), constant([1]), constant([1]))


def positions(ids: Tensor) -> Tensor:
    """The position numbers of a batch, [1, length], counted from 0."""
    length = op.gather(op.shape_of(ids, "i32"), constant(1), constant(0))
    numbers = op.range(constant(0, np.int32), length, constant(1, np.int32), "i32")
    return op.unsqueeze(numbers, constant(0))


def shifted_positions(ids: Tensor, pad_id: int) -> Tensor:
    """RoBERTa's position numbers, [batch, length]: counted from ``pad_id + 1``, padding tokens left out.

    A padding token has the position ``pad_id``, also where somebody wrote one out in a text.
    """
    pad = constant(pad_id, np.int32)
    counts = op.convert(op.not_equal(ids, pad), "i32")
    return op.add(op.multiply(op.cum_sum(counts, constant(1)), counts), pad)
