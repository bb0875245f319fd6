"""The encoder of BERT and of what is built like it: embeddings, post-norm layers, a head."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crossrank.errors import ModelError
from crossrank.families.graphs.attention import length_of, mask_bias
from crossrank.families.graphs.graph import Graph
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Products, Tensor, activation, constant
from crossrank.families.graphs.rotary import Rotation
from crossrank.families.model import Model


@dataclass(frozen=True)
class LayerNames:
    """What a family calls the parts of one layer; ``{}`` stands for the layer's number.

    One name for query, key and value means that they are stored as one matrix.
    """

    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    up: str
    down: str
    output_norm: str


class Encoder(Graph):
    """Post-norm layers; see :class:`crossrank.families.graphs.graph.Graph`.

    Attributes:
        layer_names: What the family calls the parts of a layer.
        position_type: What ``position_embedding_type`` in config.json has to be, if it is there.
    """

    layer_names: LayerNames
    position_type: ClassVar[str] = "absolute"

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        super().__init__(model, products=products, layers=layers)
        self.hidden_size = self.setting("hidden_size")
        self.attention_heads = self.setting("num_attention_heads")
        self.epsilon = float(self.config.get("layer_norm_eps", 1e-12))
        self.hidden_activation = str(self.config.get("hidden_act", "gelu"))
        positions = self.config.get("position_embedding_type", self.position_type)
        if positions != self.position_type:
            raise ModelError(f"{model.name} uses {positions} position embeddings, which are not supported")
        self.head_size, rest = divmod(self.hidden_size, self.attention_heads)
        if rest:
            raise ModelError(f"{model.name}: hidden size {self.hidden_size} is no multiple of its heads")

    @abstractmethod
    def embed(self) -> Tensor:
        """Tokens to vectors, [batch, length, hidden]."""

    def attention_bias(self) -> Tensor | None:
        """What is added to every layer's attention scores, next to the mask; nothing in most families."""
        return None

    def rotations(self, length: Tensor) -> tuple[Rotation, Rotation] | None:
        """How queries and keys of ``length`` tokens, int64 [1], are turned; not at all in most families."""
        return None

    def scores(self, query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
        """The attention scores of queries [batch, heads, queries, d] with keys [batch, heads, keys, d]."""
        scaled = op.multiply(query, constant(self.head_size**-0.5, np.float32))
        return op.add(op.matmul(scaled, key, False, True), bias)

    def feed_forward(self, x: Tensor, number: int) -> Tensor:
        """The two dense layers after the attention of a layer, without the sum that follows them."""
        inner = activation(self.hidden_activation, self.ops.linear(x, self.layer_names.up.format(number)))
        return self.ops.linear(inner, self.layer_names.down.format(number))

    def hidden_states(self, *, only_first: bool = False) -> Tensor:
        """All layers; see :meth:`crossrank.families.graphs.graph.Graph.hidden_states`."""
        bias = mask_bias(self.inputs["attention_mask"])
        if (extra := self.attention_bias()) is not None:
            bias = op.add(bias, extra)
        turns = self.rotations(length_of(self.inputs["input_ids"]))
        x = self.embed()
        for number in range(self.layers):
            # A head that reads the first position needs of the last layer that position alone: its query
            # still attends to all keys and values, and the rest of the layer shrinks to one token.
            last = only_first and number == self.layers - 1
            if last and extra is not None:
                bias = op.slice(bias, constant([0]), constant([1]), constant([1]), constant([2]))
            if last and turns is not None:
                turns = turns[0].first, turns[1]
            x = self._layer(x, number, bias, turns, only_first=last)
        return x

    def _layer(
        self,
        x: Tensor,
        number: int,
        bias: Tensor,
        turns: tuple[Rotation, Rotation] | None,
        *,
        only_first: bool,
    ) -> Tensor:
        names, ops = self.layer_names, self.ops
        queries = first_position(x) if only_first else x
        q, k, v = self._heads(x, queries, number)
        if turns is not None:
            q, k = (turn(part) for turn, part in zip(turns, (q, k), strict=True))
        q, k, v = (op.transpose(part, constant([0, 2, 1, 3])) for part in (q, k, v))
        context = op.matmul(op.softmax(self.scores(q, k, bias), -1), v, False, False)
        merged = op.reshape(
            op.transpose(context, constant([0, 2, 1, 3])), constant([0, 0, self.hidden_size]), True
        )
        attended = op.add(ops.linear(merged, names.attention_output.format(number)), queries)
        attended = ops.layer_norm(attended, names.attention_norm.format(number), self.epsilon)
        output = op.add(self.feed_forward(attended, number), attended)
        return ops.layer_norm(output, names.output_norm.format(number), self.epsilon)

    def _heads(self, x: Tensor, queries: Tensor, number: int) -> list[Tensor]:
        """Queries, keys and values, [batch, length, heads, d]."""
        names = self.layer_names
        parts = names.query, names.key, names.value
        is_packed = len(set(parts)) == 1
        shape = constant([0, 0, self.attention_heads, self.head_size])
        heads = []
        for part, (name, inputs) in enumerate(zip(parts, (queries, x, x), strict=True)):
            rows = slice(part * self.hidden_size, (part + 1) * self.hidden_size) if is_packed else slice(None)
            heads.append(
                op.reshape(self.ops.linear(inputs, name.format(number), rows), shape, True).output(0)
            )
        return heads


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
