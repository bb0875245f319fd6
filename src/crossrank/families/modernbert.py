"""ModernBERT (Warner et al. 2024): rotary positions; most layers see a window of tokens, some all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crossrank.errors import ModelError
from crossrank.families.family import Family
from crossrank.families.graphs.attention import MASKED, Window, attend, length_of, mask_bias
from crossrank.families.graphs.encoder import first_position, positions
from crossrank.families.graphs.graph import Graph
from crossrank.families.graphs.openvino_library import op, ov
from crossrank.families.graphs.operations import Products, Tensor, activation, constant
from crossrank.families.graphs.rotary import Rotation, inverse_frequencies
from crossrank.families.model import Model

if TYPE_CHECKING:
    import torch

    from crossrank.families.networks.bodies import Body
    from crossrank.families.networks.pack import Pack

# transformers' names for the two kinds of layers, and their values of theta where config.json has none.
_FULL, _LOCAL = "full_attention", "sliding_attention"
_THETA = {_FULL: 160_000.0, _LOCAL: 10_000.0}


class ModernBertGraph(Graph):
    """Pre-norm layers without positions in the embeddings; a head over the first token, or over the mean."""

    prefix = "model."

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        super().__init__(model, products=products, layers=layers)
        self.heads = self.setting("num_attention_heads")
        self.head_size, rest = divmod(self.setting("hidden_size"), self.heads)
        if rest or self.head_size % 2:
            raise ModelError(f"{model.name}: hidden_size does not make {self.heads} heads of an even size")
        self.kinds = self._layer_kinds()
        self.longest = max(model.max_tokens, self.setting("max_position_embeddings"))
        self.epsilon = float(self.config.get("norm_eps", 1e-5))
        self.activation = str(self.config.get("hidden_activation", "gelu"))

    def hidden_states(self, *, only_first: bool = False) -> Tensor:
        """All layers; see :meth:`crossrank.families.graphs.graph.Graph.hidden_states`."""
        ids, mask = self.inputs["input_ids"], self.inputs["attention_mask"]
        everything = mask_bias(mask)
        window = Window(mask, self.setting("local_attention") // 2)
        turns = {kind: self._turns(kind, length_of(ids)) for kind in (_FULL, _LOCAL)}
        x = self._norm(self.ops.embedding(ids, "embeddings.tok_embeddings"), "embeddings.norm")
        for number in range(self.layers):
            kind, name = self.kinds[number], f"layers.{number}"
            normal = self._norm(x, f"{name}.attn_norm") if number else x
            # A head that reads the first position needs of the last layer that position alone.
            if only_first and number == self.layers - 1:
                x = first_position(x)
                bias = everything if kind == _FULL else op.add(everything, self._far(window.reach))
                q, k, v = self._heads(normal, first_position(normal), name)
                context = attend(turns[kind][0].first(q), turns[kind][1](k), v, bias)
            else:
                q, k, v = self._heads(normal, normal, name)
                q, k = (turn(part) for turn, part in zip(turns[kind], (q, k), strict=True))
                context = attend(q, k, v, everything) if kind == _FULL else window.attend(q, k, v)
            x = op.add(x, self.ops.linear(context, f"{name}.attn.Wo"))
            up, gate = self.ops.linears(self._norm(x, f"{name}.mlp_norm"), f"{name}.mlp.Wi", 2)
            inner = op.multiply(activation(self.activation, up), gate)
            x = op.add(x, self.ops.linear(inner, f"{name}.mlp.Wo"))
        return self._norm(x, "final_norm")

    def classify(self, first: Tensor) -> Tensor:
        """A dense layer with its activation and layer norm, then the classifier."""
        function = str(self.config.get("classifier_activation", "gelu"))
        inner = activation(function, self.ops.linear(first, "head.dense"))
        return self.ops.linear(self._norm(inner, "head.norm"), "classifier")

    def logits(self) -> ov.Model:
        """The classifier: [batch, labels] in float32."""
        pooling = self.config.get("classifier_pooling", "cls")
        if pooling == "cls":
            return super().logits()
        if pooling != "mean":
            raise ModelError(f"classifier_pooling in config.json is {pooling!r}; known are cls and mean")
        weights = op.unsqueeze(op.convert(self.inputs["attention_mask"], "f32"), constant(2))
        total = op.reduce_sum(op.multiply(self.hidden_states(), weights), constant([1]))
        mean = op.divide(total, op.reduce_sum(weights, constant([1])))
        return ov.Model([self.classify(mean)], list(self.inputs.values()))

    def _heads(self, x: Tensor, queries: Tensor, layer: str) -> list[Tensor]:
        """Queries, keys and values, [batch, length, heads, d]."""
        name, size = f"{layer}.attn.Wqkv", self.heads * self.head_size
        parts = [
            self.ops.linear(inputs, name, slice(part * size, (part + 1) * size))
            for part, inputs in enumerate((queries, x, x))
        ]
        shape = constant([0, 0, self.heads, self.head_size])
        return [op.reshape(part, shape, True).output(0) for part in parts]

    def _turns(self, kind: str, length: Tensor) -> tuple[Rotation, Rotation]:
        """The rotation of queries, which scales them too, and that of keys."""
        frequencies = inverse_frequencies(self.head_size, self._theta(kind))
        scales = (self.head_size**-0.5, 1.0)
        query, key = (
            Rotation.of(frequencies, longest=self.longest, length=length, scale=scale) for scale in scales
        )
        return query, key

    def _far(self, reach: int) -> Tensor:
        """What hides the tokens that the first one does not see, [1, length]."""
        is_far = op.greater(positions(self.inputs["input_ids"]), constant(reach, np.int32))
        return op.multiply(op.convert(is_far, "f32"), constant(-MASKED, np.float32))

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return self.ops.layer_norm(x, name, self.epsilon, bias=bool(self.config.get("norm_bias", False)))

    def _layer_kinds(self) -> list[str]:
        """What each layer sees: named one by one, or as it was in the first configurations."""
        count = self.setting("num_hidden_layers")
        kinds = self.config.get("layer_types")
        if kinds is None:
            every = self.config.get("global_attn_every_n_layers", 3)
            if not isinstance(every, int) or every < 1:
                raise ModelError(f"global_attn_every_n_layers in config.json is {every!r:.40}, not 1 or more")
            return [_LOCAL if number % every else _FULL for number in range(count)]
        if not isinstance(kinds, list) or len(kinds) != count or not {_FULL, _LOCAL} >= {*map(str, kinds)}:
            raise ModelError(f"layer_types in config.json should name {_FULL} or {_LOCAL} for {count} layers")
        return kinds

    def _theta(self, kind: str) -> float:
        """The base of the rotation's frequencies in one kind of layers."""
        given = (self.config.get("rope_parameters") or {}).get(kind) or {}
        if self.config.get("rope_scaling") or given.get("rope_type", "default") != "default":
            raise ModelError(
                "config.json asks for scaled rotary positions, which ModernBERT does not have here"
            )
        theta = given.get("rope_theta")
        if theta is None:
            theta = self.config.get("local_rope_theta" if kind == _LOCAL else "global_rope_theta")
        if theta is None and kind == _LOCAL and "local_rope_theta" in self.config:
            return self._theta(_FULL)  # null means the same as in the other layers
        return float(_THETA[kind] if theta is None else theta)


class PackedModernBert:
    """transformers' classifier, packed.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._device = network, device
        self._takes_mean = network.config.classifier_pooling == "mean"

    def __call__(self, pack: Pack) -> torch.Tensor:
        """The logits; see :class:`crossrank.families.networks.network.Network`."""
        import torch

        from crossrank.families.networks.network import on_device

        row = on_device(pack, self._device)
        body = self._network.base_model
        x = body(input_ids=row.ids, position_ids=row.positions, packing=row.packing).last_hidden_state[0]
        bounds = row.packing.bounds
        pooled = (
            torch.segment_reduce(x.float(), "mean", lengths=bounds.diff().long(), axis=0)
            if self._takes_mean
            else x[bounds[:-1]]
        )
        logits: torch.Tensor = self._network.classifier(self._network.head(pooled))
        return logits


def packed_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, packed."""
    from crossrank.families.networks.bodies import PackedBody

    return PackedBody(network, device)


FAMILY = Family(
    names=("modernbert",),
    graph=ModernBertGraph,
    packed=PackedModernBert,
    packed_body=packed_body,
    pad_token_id=50283,
    kept_in_float=frozenset({"classifier", "head"}),
)
