"""NomicBERT (Nussbaum et al. 2024): BERT with rotary positions and SwiGLU.

Its repositories name Python code of their own, which is not run: the network is built from the configuration,
in their words or in those of transformers, and the tensors.
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

_BERTS_NAMES = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
}
_ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu"}
# What config.json of the repositories may also ask for, and the only value that is computed here.
_FIXED = {
    "causal": False,
    "moe_every_n_layers": 0,
    "parallel_block": False,
    "prenorm": False,
    "rotary_emb_fraction": 1,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "use_rms_norm": False,
}


class NomicBertGraph(RotaryBertGraph):
    """BERT's embeddings without positions and its head; rotary positions and SwiGLU in every layer."""

    layer_names = replace(
        BERT_LAYER,
        query="encoder.layers.{}.attn.Wqkv",
        key="encoder.layers.{}.attn.Wqkv",
        value="encoder.layers.{}.attn.Wqkv",
        attention_output="encoder.layers.{}.attn.out_proj",
        attention_norm="encoder.layers.{}.norm1",
        up="encoder.layers.{}.mlp.fc11",
        down="encoder.layers.{}.mlp.fc2",
        output_norm="encoder.layers.{}.norm2",
    )

    embedding_norm = "emb_ln"

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        is_theirs = any(name.startswith("nomic_bert.") for name in model.weights.names())
        self.prefix = "nomic_bert." if is_theirs else "bert."
        super().__init__(
            replace(model, config=_in_berts_words(model.config, model.name)), products=products, layers=layers
        )

    def frequencies(self) -> NDArray[np.float32]:
        """See :class:`RotaryBertGraph`."""
        return inverse_frequencies(self.head_size, _theta(self.config))

    def feed_forward(self, x: Tensor, number: int) -> Tensor:
        """A gated dense layer, then another."""
        gate = self.ops.linear(x, f"encoder.layers.{number}.mlp.fc12")
        up = self.ops.linear(x, self.layer_names.up.format(number))
        inner = op.multiply(activation(self.hidden_activation, gate), up)
        return self.ops.linear(inner, self.layer_names.down.format(number))


def _in_berts_words(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """config.json with BERT's names for sizes and activation.

    Raises:
        ModelError: It asks for what the graph does not do.
    """
    for key, value in _FIXED.items():
        if (config.get(key) or value) != value:
            raise ModelError(f"{name}: {key} in config.json is {config[key]!r:.40}, which is not supported")
    rope = (config.get("rope_parameters") or {}).get("rope_type", "default")
    if rope != "default":
        raise ModelError(f"{name} has rotary positions of the type {rope!r}, which is not supported")
    words = {new: config[old] for old, new in _BERTS_NAMES.items() if old in config}
    function = config.get("activation_function", "swiglu")
    if "hidden_act" not in config and function not in _ACTIVATIONS:
        raise ModelError(f"{name}: activation_function {function!r} is not supported; known: swiglu, geglu")
    return {**config, "hidden_act": config.get("hidden_act") or _ACTIVATIONS[function]} | words


def in_transformers(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """config.json of a repository with code of its own, as transformers has it."""
    if any(config.get(key) for key in ("qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias")):
        return None
    try:
        words = _in_berts_words(config, "")
    except ModelError:
        return None
    rope = {"rope_type": "default", "rope_theta": _theta(config)}
    return {key: value for key, value in words.items() if key != "auto_map"} | {"rope_parameters": rope}


def _theta(config: Mapping[str, Any]) -> float:
    given = (config.get("rope_parameters") or {}).get("rope_theta")
    return float(given or config.get("rotary_emb_base") or 1000)


def packed_nomic_bert(network: Any, device: torch.device) -> Network:
    """transformers' classifier, without padding."""
    from crossrank.families.networks.rotary import rotary_classifier

    return rotary_classifier(network, device)


def packed_body(network: Any, device: torch.device) -> Body:
    """transformers' network without a head, without padding."""
    from crossrank.families.networks.rotary import PackedRotaryBody

    return PackedRotaryBody(network, device)


FAMILY = Family(
    names=("nomic_bert",),
    known_code=networks("NomicBert"),
    graph=NomicBertGraph,
    in_transformers=in_transformers,
    packed=packed_nomic_bert,
    packed_body=packed_body,
)
