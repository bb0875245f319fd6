"""A model: its folder, and the architecture that it is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.families import family_of_config, own_classes
from crossrank.families.family import Family
from crossrank.models.folder import ModelFolder
from crossrank.models.locate import DEFAULT_HUB, Hub

if TYPE_CHECKING:
    from crossrank.families.graphs.graph import Graph
    from crossrank.families.graphs.operations import Products

# What reads any number of tokens: a static model.
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Model(ModelFolder):
    """A model's folder, read as its architecture wants it."""

    @property
    def family(self) -> Family:
        """What is known about the architecture."""
        return family_of_config(self.config)

    @property
    def has_graph(self) -> bool:
        """Whether the model runs from its safetensors, by its family's graph."""
        return self.has_safetensors and reads_safetensors(self.config)

    def graph(self, *, products: Products = "float", layers: int | None = None) -> Graph:
        """The family's graph over the model's tensors; only where ``has_graph``.

        Args:
            products: How to multiply with weight matrices.
            layers: Build only this number of the first layers; all by default.

        Raises:
            ModelError: The configuration or the tensors are not what the graph needs.
        """
        assert self.family.graph is not None, f"there is no graph for {self.architecture}"
        return self.family.graph(self, products=products, layers=layers)

    @property
    def transformers_config(self) -> dict[str, Any] | None:
        """config.json in transformers' words; None if only the repository's own code has the network."""
        if "auto_map" not in self.config:
            return self.config
        translate = self.family.in_transformers
        return translate(self.config) if translate and reads_safetensors(self.config) else None

    @property
    def pad_token_id(self) -> int:
        """The token that fills up short inputs."""
        given = self.config.get("pad_token_id")
        return given if isinstance(given, int) else self.family.pad_token_id

    @property
    def max_tokens(self) -> int:
        """How many tokens the model reads at most, special tokens included."""
        if self.is_static:
            return _NO_LIMIT
        # What sentence-transformers saved for its own use overrides the tokenizer.
        saved = self.json("sentence_bert_config.json").get("max_seq_length")
        limits = [saved or self.json("tokenizer_config.json").get("model_max_length")]
        positions = self.config.get("max_position_embeddings")
        if isinstance(positions, int) and positions > 0:
            unused = self.pad_token_id + 1 if self.family.counts_positions_from_padding else 0
            limits.append(positions - unused)
        known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 1_000_000]
        return min(known, default=512)

    def needed_files(self) -> dict[str, Path]:
        """The files that it takes to run the model, by their names inside the folder.

        Raises:
            ModelError: No weights can be used.
        """
        return self.files(safetensors=self.has_graph or self.is_static)


def open_model(name: str | Path, *, safetensors: bool = False, hub: Hub = DEFAULT_HUB) -> Model:
    """Find a model and read its configuration.

    Args:
        name: A bundled model, a folder, or a Hugging Face name.
        safetensors: Whether to download safetensors, also where only an export would run without PyTorch.
        hub: How to fetch it.

    Raises:
        ModelError: There is no such model, or it has no readable config.json.

    Example:
        >>> open_model("all-MiniLM-L6-v2").architecture
        'bert'
    """

    def wanted(config: Mapping[str, Any]) -> bool:
        # Exports of decoders have other inputs, and static models need none.
        kind = str(config.get("model_type"))
        prefers = family_of_config(config).packs_language_model or kind == "model2vec"
        return safetensors or prefers or reads_safetensors(config)

    return Model.open(name, reads_safetensors=wanted, hub=hub)


def reads_safetensors(config: Mapping[str, Any]) -> bool:
    """Whether a model with this config.json has a graph here: a known family, no unknown code of its own."""
    family, classes = family_of_config(config), own_classes(config)
    knows_code = "auto_map" not in config or (bool(classes) and classes <= family.known_code)
    return family.graph is not None and knows_code
