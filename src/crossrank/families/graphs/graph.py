"""A model as an OpenVINO graph: what all families share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from crossrank.errors import ModelError
from crossrank.families.fit import check_layers, check_table
from crossrank.families.graphs.openvino_library import op, ov
from crossrank.families.graphs.operations import Operations, Products, Tensor, constant
from crossrank.families.model import Model

# The settings that speak of the rows of tables.
_TABLES = {
    "embeddings.word_embeddings": "vocab_size",
    "embeddings.tok_embeddings": "vocab_size",
    "embeddings.position_embeddings": "max_position_embeddings",
    "embeddings.token_type_embeddings": "type_vocab_size",
}


class Graph(ABC):
    """One model as an OpenVINO graph.

    A family says what its graph does in ``hidden_states`` and ``classify``; those that are built like BERT
    subclass :class:`crossrank.families.graphs.encoder.Encoder`, which has the layers.

    Args:
        model: The opened model.
        products: How to multiply with weight matrices.
        layers: Build only this number of the first layers; all by default.

    Attributes:
        prefix: What stands before every tensor's name of the encoder, such as ``"bert."``.
        has_token_types: Whether the graph takes ``token_type_ids``.
        inputs: ``input_ids``, ``attention_mask`` and, where the family has them, ``token_type_ids``, each
            int32 [batch, length].
        ops: Layers over the model's tensors.
        layers: The number of layers.

    Raises:
        ModelError: The configuration asks for what this family's graph does not do.
    """

    prefix: str
    has_token_types: bool = False

    def __init__(self, model: Model, *, products: Products = "float", layers: int | None = None) -> None:
        self.config: dict[str, Any] = model.config
        self.pad_id = model.pad_token_id
        self.ops = Operations(
            model.weights, self.prefix, products=products, kept_in_float=model.family.kept_in_float
        )
        self.layers = self.setting("num_hidden_layers")
        self._check_fit(model)
        if layers is not None:
            self.layers = min(self.layers, layers)
        names = ["input_ids", "attention_mask"] + ["token_type_ids"] * self.has_token_types
        self.inputs = {name: op.parameter([-1, -1], np.int32, name=name) for name in names}
        for name, node in self.inputs.items():
            node.output(0).set_names({name})

    def _check_fit(self, model: Model) -> None:
        check_layers(model, self.layers)
        width = self.config.get("embedding_size") or self.setting("hidden_size")
        for name, key in _TABLES.items():
            if (shape := self.ops.shape(f"{name}.weight")) is not None:
                check_table(model, f"{name}.weight", shape, rows=self.config.get(key), width=width)

    def setting(self, name: str) -> int:
        """A positive whole number from config.json."""
        value = self.config.get(name)
        if not isinstance(value, int) or value < 1:
            raise ModelError(
                f"config.json should hold a positive whole number in {name!r}; it holds {value!r}"
            )
        return value

    @abstractmethod
    def hidden_states(self, *, only_first: bool = False) -> Tensor:
        """The last layer's vectors [batch, length, hidden]; [batch, 1, hidden] with ``only_first``."""

    @abstractmethod
    def classify(self, first: Tensor) -> Tensor:
        """The first position's vector [batch, hidden] to logits [batch, labels]."""

    def logits(self) -> ov.Model:
        """The classifier: [batch, labels] in float32."""
        first = op.squeeze(self.hidden_states(only_first=True), constant(1))
        return ov.Model([self.classify(first)], list(self.inputs.values()))
