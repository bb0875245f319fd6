"""DeBERTa-v2 and -v3 (He et al. 2021, 2023): attention by content and by relative position."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.families.family import Family
from crossrank.families.graphs.attention import length_of, mask_bias
from crossrank.families.graphs.encoder import first_position, positions
from crossrank.families.graphs.graph import Graph
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Products, Tensor, activation, constant
from crossrank.families.model import Model

if TYPE_CHECKING:
    import torch

    from crossrank.families.networks.bodies import Body
    from crossrank.families.networks.network import Network

# The two terms of a score that depend on the distance: the query with the relative position of the key
# (content to position), and the key with that of the query.
_TERMS = {"c2p", "p2c"}


class RelativePositions:
    """Scores of tokens with the relative positions of other tokens.

    Vectors are multiplied with one row for each relative position that occurs at the batch's length, and the
    products are looked up for each pair of tokens. The lookup is a Gather over flat positions, since
    GatherElements takes three times as long.

    Args:
        rows: The row of each relative position, ascending int32 [2 * longest - 1]: from key ``longest`` - 1
            tokens after the query to as many before it.
        ids: int32 [batch, length].
    """

    def __init__(self, rows: NDArray[np.int32], ids: Tensor) -> None:
        longest, table, self._length = len(rows) // 2 + 1, op.constant(rows), length_of(ids)
        farthest = op.subtract(self._length, constant([1]))
        ends = (op.subtract(constant([longest - 1]), farthest), op.add(constant([longest - 1]), farthest))
        self._first, self._last = (op.gather(table, end, constant(0)) for end in ends)
        keys = positions(ids)
        queries = op.transpose(keys, constant([1, 0]))
        place = op.add(op.subtract(queries, keys), constant(longest - 1, np.int32))
        column = op.subtract(op.gather(table, place, constant(0)), self._first)  # [length, length]
        width = op.add(op.subtract(self._last, self._first), constant(1, np.int32))
        self._by_query = op.add(op.multiply(queries, width), column)
        self._by_key = op.add(op.multiply(keys, width), column)

    def of_queries(self, query: Tensor, table: Tensor) -> Tensor:
        """Scores of queries with the relative positions of keys.

        Args:
            query: [batch, heads, queries, d], of all tokens or of the first alone.
            table: [1, heads, rows, d].

        Returns:
            [batch, heads, queries, length].
        """
        return self._look_up(query, table, self._by_query, query)

    def of_keys(self, key: Tensor, table: Tensor, query: Tensor) -> Tensor:
        """Scores of keys with the relative positions of queries; see :meth:`of_queries`."""
        return self._look_up(key, table, self._by_key, query)

    def _look_up(self, x: Tensor, table: Tensor, places: Tensor, query: Tensor) -> Tensor:
        end = op.add(self._last, constant([1], np.int32))
        rows = op.slice(table, self._first, end, constant([1], np.int32), constant([2], np.int32))
        products = op.reshape(op.matmul(x, rows, False, True), constant([0, 0, -1]), True)
        queries = op.gather(op.shape_of(query, "i64"), constant([2]), constant(0))
        wanted = op.slice(places, constant([0]), queries, constant([1]), constant([0]))
        found = op.gather(products, op.reshape(wanted, constant([-1]), False), constant(2))
        return op.reshape(found, op.concat([constant([0, 0]), queries, self._length], 0), True)


class DebertaGraph(Graph):
    """BERT's layers with disentangled attention, and a head of its own."""

    prefix = "deberta."

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        self.has_token_types = bool(model.config.get("type_vocab_size", 0))
        super().__init__(model, products=products, layers=layers)
        self.longest = model.max_tokens
        self.heads = self.setting("num_attention_heads")
        self.head_size, rest = divmod(self.setting("hidden_size"), self.heads)
        if rest or self.config.get("attention_head_size", self.head_size) != self.head_size:
            raise ModelError(f"{model.name}: hidden_size does not make {self.heads} heads")
        if self.config.get("conv_kernel_size"):
            raise ModelError(f"{model.name} has a convolution after its first layer, which is not supported")
        self.epsilon = float(self.config.get("layer_norm_eps", 1e-7))
        self.terms = self._position_terms()
        self.shares_projections = bool(self.config.get("share_att_key", False))
        self.scale = np.float32((self.head_size * (1 + len(self.terms))) ** -0.5)

    def hidden_states(self, *, only_first: bool = False) -> Tensor:
        """All layers; see :meth:`crossrank.families.graphs.graph.Graph.hidden_states`."""
        mask = mask_bias(self.inputs["attention_mask"])
        relative = (
            RelativePositions(position_rows(self.config, self.longest), self.inputs["input_ids"])
            if self.terms
            else None
        )
        x = self._embed()
        for number in range(self.layers):
            # A head that reads the first position needs of the last layer that position alone.
            first = only_first and number == self.layers - 1
            x = self._layer(x, f"encoder.layer.{number}", mask, relative, only_first=first)
        return x

    def classify(self, first: Tensor) -> Tensor:
        """A dense layer with its activation, then the classifier."""
        function = str(self.config.get("pooler_hidden_act", "gelu"))
        return self.ops.linear(activation(function, self.ops.linear(first, "pooler.dense")), "classifier")

    def _embed(self) -> Tensor:
        ids = self.inputs["input_ids"]
        x = self.ops.embedding(ids, "embeddings.word_embeddings")
        if self.config.get("position_biased_input", True):
            x = op.add(x, self.ops.embedding(positions(ids), "embeddings.position_embeddings"))
        if self.has_token_types:
            types = self.inputs["token_type_ids"]
            x = op.add(x, self.ops.embedding(types, "embeddings.token_type_embeddings"))
        if self.config.get("embedding_size", self.setting("hidden_size")) != self.setting("hidden_size"):
            x = self.ops.linear(x, "embeddings.embed_proj")
        return self._norm(x, "embeddings.LayerNorm")

    def _layer(
        self, x: Tensor, name: str, mask: Tensor, relative: RelativePositions | None, *, only_first: bool
    ) -> Tensor:
        queries = first_position(x) if only_first else x
        attention = f"{name}.attention.self"
        q = op.multiply(self._heads(queries, f"{attention}.query_proj"), constant(self.scale, np.float32))
        k = self._heads(x, f"{attention}.key_proj")
        v = self._heads(x, f"{attention}.value_proj")
        scores = op.matmul(q, k, False, True)
        if relative is not None and "c2p" in self.terms:
            table = self._table(f"{attention}.{'' if self.shares_projections else 'pos_'}key_proj")
            scores = op.add(scores, relative.of_queries(q, op.constant(table)))
        if relative is not None and "p2c" in self.terms:
            table = self._table(f"{attention}.{'' if self.shares_projections else 'pos_'}query_proj")
            scores = op.add(scores, relative.of_keys(k, op.constant(table * self.scale), q))
        context = op.matmul(op.softmax(op.add(scores, mask), -1), v, False, False)
        merged = op.reshape(op.transpose(context, constant([0, 2, 1, 3])), constant([0, 0, -1]), True)
        attended = op.add(self.ops.linear(merged, f"{name}.attention.output.dense"), queries)
        attended = self._norm(attended, f"{name}.attention.output.LayerNorm")
        function = str(self.config.get("hidden_act", "gelu"))
        inner = activation(function, self.ops.linear(attended, f"{name}.intermediate.dense"))
        output = op.add(self.ops.linear(inner, f"{name}.output.dense"), attended)
        return self._norm(output, f"{name}.output.LayerNorm")

    def _heads(self, x: Tensor, name: str) -> Tensor:
        split = op.reshape(self.ops.linear(x, name), constant([0, 0, self.heads, self.head_size]), True)
        return op.transpose(split, constant([0, 2, 1, 3]))

    def _table(self, name: str) -> NDArray[np.float32]:
        """A projection of the rows of relative positions, which no text changes: [1, heads, rows, d]."""
        rows = self.relative @ self.ops.tensor(f"{name}.weight").T
        if self.ops.has(f"{name}.bias"):
            rows = rows + self.ops.tensor(f"{name}.bias")
        split = rows.reshape(1, len(rows), self.heads, self.head_size).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(split, np.float32)

    def _position_terms(self) -> frozenset[str]:
        if not self.config.get("relative_attention"):
            return frozenset()
        given = self.config.get("pos_att_type") or []
        terms = frozenset(given.lower().split("|") if isinstance(given, str) else map(str, given))
        if not terms <= _TERMS:
            raise ModelError(f"pos_att_type in config.json is {given!r:.80}; known are c2p and p2c")
        return terms

    @cached_property
    def relative(self) -> NDArray[np.float32]:
        """A row for each relative position, from the query far before the key on, [2 * span, hidden]."""
        span = _span(self.config)
        rows = self.ops.tensor("encoder.rel_embeddings.weight").astype(np.float64)
        if len(rows) != 2 * span:
            raise ModelError(f"config.json asks for {2 * span} relative positions; there are {len(rows)}")
        if "layer_norm" in str(self.config.get("norm_rel_ebd", "none")).lower():
            centred = rows - rows.mean(axis=1, keepdims=True)
            normal = centred / np.sqrt(rows.var(axis=1, keepdims=True) + self.epsilon)
            gain, bias = (self.ops.tensor(f"encoder.LayerNorm.{part}") for part in ("weight", "bias"))
            rows = normal * gain + bias
        return rows.astype(np.float32)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return self.ops.layer_norm(x, name, self.epsilon)


def position_rows(config: Mapping[str, Any], longest: int) -> NDArray[np.int32]:
    """The row of each relative position (query position minus key position).

    Args:
        config: config.json.
        longest: The largest length.

    Returns:
        int32 [2 * longest - 1], ascending: from key ``longest`` - 1 tokens after the query to as many before.
    """
    distances = np.arange(1 - longest, longest)
    buckets, span = int(config.get("position_buckets") or -1), _span(config)
    if buckets > 0:
        distances = log_buckets(distances, buckets, _farthest(config))
    return np.clip(distances + span, 0, 2 * span - 1).astype(np.int32)


def _span(config: Mapping[str, Any]) -> int:
    """The number of relative positions on each side."""
    buckets = int(config.get("position_buckets") or -1)
    return buckets if buckets > 0 else _farthest(config)


def _farthest(config: Mapping[str, Any]) -> int:
    given = config.get("max_relative_positions")
    return given if isinstance(given, int) and given > 0 else int(config["max_position_embeddings"])


def log_buckets(distances: NDArray[np.int64], buckets: int, farthest: int) -> NDArray[np.int64]:
    """The buckets of distances (query position minus key position): near ones have their own, far ones share.

    Half of ``buckets`` is for distances up to half of it, the other half for those up to ``farthest``, in
    logarithmic steps.

    Example:
        >>> log_buckets(np.array([-100, -3, 0, 3, 40, 511]), 16, 512).tolist()
        [-13, -3, 0, 3, 11, 15]
    """
    half = buckets // 2
    # float32, as in the reference: float64 would put distances at a step's edge into the other bucket.
    ratio = np.maximum(np.abs(distances), half).astype(np.float32) / np.float32(half)
    steps = np.log(ratio) / np.log(np.float32((farthest - 1) / half)) * np.float32(half - 1)
    far = np.sign(distances) * (np.ceil(steps) + half)
    return np.where(np.abs(distances) <= half, distances, far).astype(np.int64)


def packed_deberta(network: Any, device: torch.device) -> Network:
    """transformers' classifier, without padding unless it has a convolution."""
    from crossrank.families.networks.classifiers import PaddedClassifier
    from crossrank.families.networks.network import FirstTokenClassifier

    if network.base_model.encoder.conv is not None:  # it reads neighbours, also those of another input
        return PaddedClassifier(network, device)
    return FirstTokenClassifier(packed_body(network.base_model, device), network.pooler, network.classifier)


def packed_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, without padding unless it has a convolution."""
    from crossrank.families.networks.bodies import PaddedBody
    from crossrank.families.networks.deberta import DebertaBody

    if network.encoder.conv is not None:
        return PaddedBody(network, device)
    return DebertaBody(network, device, _tensor_of_rows(network.config))


def _tensor_of_rows(config: Any) -> torch.Tensor:
    import torch

    settings = config.to_dict()
    return torch.from_numpy(position_rows(settings, settings["max_position_embeddings"])).long()


FAMILY = Family(
    names=("deberta-v2",),
    graph=DebertaGraph,
    packed=packed_deberta,
    packed_body=packed_body,
    kept_in_float=frozenset(
        {"classifier", "pooler", "position_embeddings", "token_type_embeddings", "rel_embeddings"}
    ),
)
