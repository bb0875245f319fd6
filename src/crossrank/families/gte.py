"""GTE (Zhang et al. 2024, mGTE): BERT with rotary positions and gated dense layers.

Its repositories name Python code of their own, which is not run: the network is built from the configuration
and the tensors. transformers has it as ``gte``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.families.bert import BERT_LAYER, RotaryBertGraph
from crossrank.families.family import Family, networks
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Products, Tensor, activation
from crossrank.families.graphs.rotary import inverse_frequencies
from crossrank.families.model import Model

if TYPE_CHECKING:
    import torch

    from crossrank.families.networks.bodies import Body
    from crossrank.families.networks.network import Network


class GteGraph(RotaryBertGraph):
    """BERT's embeddings without positions and its head; rotary positions and a gated layer in every layer."""

    layer_names = replace(
        BERT_LAYER,
        query="encoder.layer.{}.attention.qkv_proj",
        key="encoder.layer.{}.attention.qkv_proj",
        value="encoder.layer.{}.attention.qkv_proj",
        attention_output="encoder.layer.{}.attention.o_proj",
        attention_norm="encoder.layer.{}.attn_ln",
        up="encoder.layer.{}.mlp.up_gate_proj",
        down="encoder.layer.{}.mlp.down_proj",
        output_norm="encoder.layer.{}.mlp_ln",
    )
    position_type = "rope"

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        self.prefix = "new." if any(name.startswith("new.") for name in model.weights.names()) else "gte."
        super().__init__(model, products=products, layers=layers)
        norm = self.config.get("layer_norm_type", "layer_norm")
        if norm != "layer_norm" or self.config.get("logn_attention_scale"):
            asked = f"layer_norm_type {norm!r}" if norm != "layer_norm" else "logn_attention_scale"
            raise ModelError(f"{model.name}: {asked} in config.json is not supported")

    def frequencies(self) -> NDArray[np.float32]:
        """See :class:`RotaryBertGraph`."""
        return frequencies(self.config, self.head_size)

    def feed_forward(self, x: Tensor, number: int) -> Tensor:
        """A gated dense layer, then another."""
        up, gate = self.ops.linears(x, self.layer_names.up.format(number), 2)
        inner = op.multiply(activation(self.hidden_activation, gate), up)
        return self.ops.linear(inner, self.layer_names.down.format(number))


def frequencies(config: Mapping[str, Any], size: int) -> NDArray[np.float32]:
    """The frequencies of the rotary positions.

    Args:
        config: config.json. ``rope_scaling`` of the type ``ntk`` stretches positions for longer texts: with
            a larger theta and one factor, or with a factor for each frequency (``mixed_b``), as in
            https://kexue.fm/archives/9706.
        size: Numbers of a head.

    Raises:
        ModelError: They are scaled in another way.
    """
    given, scaling = config.get("rope_parameters") or {}, config.get("rope_scaling") or {}
    kind = (
        given.get("rope_type", "default")
        if given
        else scaling.get("type", scaling.get("rope_type", "default"))
    )
    # The repositories' own code and transformers have different defaults.
    theta = float(given.get("rope_theta") or config.get("rope_theta") or (160_000 if given else 10_000))
    factor = float((given or scaling).get("factor") or 1)
    if kind == "default":
        return inverse_frequencies(size, theta)
    if kind == "linear" and given:
        return inverse_frequencies(size, theta) / np.float32(factor)
    if kind != "ntk" or given:
        raise ModelError(
            f"config.json asks for rotary positions of the type {kind!r}, which is not supported"
        )
    mixed = scaling.get("mixed_b")
    if mixed is None:
        return inverse_frequencies(size, theta * factor) / np.float32(factor ** (2 / size))
    slope = np.log(factor) / (size / 2) ** mixed
    stretched = np.exp(slope * np.arange(1, size // 2 + 1) ** mixed)
    return np.asarray(inverse_frequencies(size, theta) / stretched, np.float32)


def in_transformers(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """config.json of a repository with code of its own, as transformers' ``gte`` has it."""
    scaling = config.get("rope_scaling") or {"type": "default"}
    if (
        not config.get("pack_qkv", True)
        or scaling.get("type") not in {"default", "ntk"}
        or "mixed_b" in scaling
    ):
        return None
    # A larger theta and one factor for all frequencies is what "ntk" comes to: see frequencies().
    factor = float(scaling.get("factor") or 1)
    size = int(config["hidden_size"]) // int(config["num_attention_heads"])
    rope = {
        "rope_type": "linear",
        "rope_theta": float(config.get("rope_theta") or 10_000) * factor,
        "factor": factor ** (2 / size),
    }
    own = {"auto_map", "rope_scaling", "rope_theta"}
    kept = {key: value for key, value in config.items() if key not in own}
    return kept | {"model_type": "gte", "rope_parameters": rope}


def packed_gte(network: Any, device: torch.device) -> Network:
    """transformers' classifier, without padding."""
    from crossrank.families.networks.rotary import rotary_classifier

    return rotary_classifier(network, device)


def packed_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, without padding."""
    from crossrank.families.networks.rotary import PackedRotaryBody

    return PackedRotaryBody(network, device)


FAMILY = Family(
    names=("gte", "new"),
    known_code=networks("New") | networks("Gte"),
    graph=GteGraph,
    in_transformers=in_transformers,
    packed=packed_gte,
    packed_body=packed_body,
    pad_token_id=1,
)
