"""A model's folder, opened and checked: configuration, tokenizer and weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crossrank.errors import ModelError
from crossrank.models.locate import (
    DEFAULT_HUB,
    EXPORTS,
    PICKLES,
    Hub,
    is_native,
    locate_model,
    needed_files,
    no_usable_weights,
)
from crossrank.models.weights import Weights

# RoBERTa's family, which starts to count positions after the padding token's own.
_SHIFTED = frozenset({"camembert", "mpnet", "roberta", "xlm-roberta"})


@dataclass(frozen=True)
class ModelFolder:
    """The files of one model.

    Attributes:
        name: What the person asked for; used in messages.
        path: The folder.
        config: config.json.
    """

    name: str
    path: Path
    config: dict[str, Any]

    @property
    def architecture(self) -> str:
        """The family, as Hugging Face names it: ``model_type`` in config.json."""
        return str(self.config.get("model_type", "unknown"))

    @property
    def tokenizer_file(self) -> Path:
        """tokenizer.json.

        Raises:
            ModelError: It is missing.
        """
        file = self.path / "tokenizer.json"
        if file.is_file():
            return file
        raise ModelError(
            f"{self.name} has no tokenizer.json. Write one with transformers: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )

    @property
    def has_safetensors(self) -> bool:
        """Whether the weights are there as safetensors."""
        return any((self.path / f).is_file() for f in ("model.safetensors", "model.safetensors.index.json"))

    @property
    def has_graph(self) -> bool:
        """Whether the model runs from its safetensors, by a graph of the package."""
        return self.has_safetensors and is_native(self.config)

    @property
    def export(self) -> Path | None:
        """An exported graph, ONNX or OpenVINO, where there is one."""
        return next((self.path / name for name in EXPORTS if (self.path / name).is_file()), None)

    @cached_property
    def weights(self) -> Weights:
        """The tensors of model.safetensors.

        Raises:
            ModelError: There are none, or they are damaged.
        """
        if not self.has_safetensors:
            raise ModelError(no_usable_weights(self.name, self.pickles))
        return Weights(self.path)

    @property
    def pickles(self) -> list[str]:
        """Weights in formats that can run code when opened, which are never read."""
        return sorted(file.name for file in self.path.iterdir() if file.name.endswith(PICKLES))

    def json(self, name: str) -> dict[str, Any]:
        """A further JSON file of the folder; empty where it is missing.

        Raises:
            ModelError: It is there and cannot be read.
        """
        return _read_json(self.path / name, self.name) if (self.path / name).is_file() else {}

    @property
    def modules(self) -> list[dict[str, Any]]:
        """What sentence-transformers puts together, in order; nothing where it has not saved the model.

        Raises:
            ModelError: modules.json is there and cannot be read.
        """
        file = self.path / "modules.json"
        if not file.is_file():
            return []
        try:
            modules = json.loads(file.read_text(encoding="utf-8"))
            return sorted((dict(module) for module in modules), key=lambda module: int(module.get("idx", 0)))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{self.name}: modules.json cannot be read: {error}") from error

    def needed_files(self) -> dict[str, Path]:
        """The files that it takes to run the model, by their names inside the folder.

        Raises:
            ModelError: No weights can be used.
        """
        # A file of the Hub's cache is a link to where it lies; one level of folders is all that models use.
        found = [file for pattern in ("*", "*/*") for file in self.path.glob(pattern) if file.is_file()]
        names = sorted(file.relative_to(self.path).as_posix() for file in found)
        # No part of the model: SageMaker's code in an unpacked archive, and the int8 copy that training adds.
        names = [name for name in names if not name.startswith(("code/", "int8/"))]
        wanted = needed_files(names, has_graph=self.has_graph)
        if wanted is None:
            raise ModelError(no_usable_weights(self.name, self.pickles))
        return {name: self.path / name for name in wanted}

    @property
    def pad_token_id(self) -> int:
        """The token that fills up short inputs."""
        given = self.config.get("pad_token_id")
        return given if isinstance(given, int) else int(self.architecture in _SHIFTED)

    @property
    def max_tokens(self) -> int:
        """How many tokens the model reads at most, special tokens included."""
        # What sentence-transformers saved for its own use overrides the tokenizer.
        saved = self.json("sentence_bert_config.json").get("max_seq_length")
        limits = [saved or self.json("tokenizer_config.json").get("model_max_length")]
        positions = self.config.get("max_position_embeddings")
        if isinstance(positions, int) and positions > 0:
            limits.append(positions - self.pad_token_id - 1 if self.architecture in _SHIFTED else positions)
        known = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit < 1_000_000]
        return min(known, default=512)


def open_model(name: str | Path, *, safetensors: bool = False, hub: Hub = DEFAULT_HUB) -> ModelFolder:
    """Find a model and read its configuration.

    Args:
        name: As for :func:`crossrank.models.locate.locate_model`, and so is the other.
        safetensors: Whether the weights have to be safetensors.
        hub: How to fetch it.

    Raises:
        ModelError: There is no such model, or it has no readable config.json.

    Example:
        >>> open_model("all-MiniLM-L6-v2").architecture
        'bert'
    """
    path = locate_model(name, safetensors=safetensors, hub=hub)
    if not (path / "config.json").is_file():
        raise ModelError(f"{name} has no config.json, so it is no Hugging Face model folder")
    return ModelFolder(str(name), path, _read_json(path / "config.json", str(name)))


def _read_json(file: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: {file.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{name}: {file.name} should hold a JSON object; it holds {type(content).__name__}")
    return content
