"""A model's folder, opened and checked: configuration, tokenizer and weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from crossrank.errors import ModelError
from crossrank.models.locate import (
    DEFAULT_HUB,
    EXPORTS,
    PICKLES,
    Hub,
    ReadsSafetensors,
    locate_model,
    needed_files,
    no_usable_weights,
)
from crossrank.models.weights import Weights


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

    @classmethod
    def open(cls, name: str | Path, *, reads_safetensors: ReadsSafetensors, hub: Hub = DEFAULT_HUB) -> Self:
        """Find a model and read its configuration.

        Args:
            name: As for :func:`crossrank.models.locate.locate_model`, and so are the others.
            reads_safetensors: Which weights to download, where there is a choice.
            hub: How to fetch it.

        Raises:
            ModelError: There is no such model, or it has no readable config.json.

        Example:
            >>> ModelFolder.open("all-MiniLM-L6-v2", reads_safetensors=lambda config: True).architecture
            'bert'
        """
        path = locate_model(name, reads_safetensors=reads_safetensors, hub=hub)
        if (path / "config.json").is_file():
            return cls(str(name), path, _read_json(path / "config.json", str(name)))
        if (model := cls(str(name), path, {})).is_static:  # all that it has to say is in modules.json
            return model
        raise ModelError(f"{name} has no config.json, so it is no Hugging Face model folder")

    @property
    def architecture(self) -> str:
        """The family, as Hugging Face names it: ``model_type`` in config.json."""
        return "static" if self.is_static else str(self.config.get("model_type", "unknown"))

    @cached_property
    def is_static(self) -> bool:
        """Whether the model is a table of word vectors, without a transformer."""
        first = str(self.modules[0].get("type")) if self.modules else ""
        own = first.startswith("sentence_transformers.") and first.endswith(".StaticEmbedding")
        return own or (not first and self.config.get("model_type") == "model2vec")

    @property
    def inner(self) -> Path:
        """Where tokenizer and weights are: the folder itself, but for a static model perhaps one in it."""
        return (
            self.path / str(self.modules[0].get("path") or "")
            if self.is_static and self.modules
            else self.path
        )

    @property
    def tokenizer_file(self) -> Path:
        """tokenizer.json.

        Raises:
            ModelError: It is missing.
        """
        file = self.inner / "tokenizer.json"
        if file.is_file():
            return file
        raise ModelError(
            f"{self.name} has no tokenizer.json. Write one with transformers: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )

    @property
    def has_safetensors(self) -> bool:
        """Whether the weights are there as safetensors."""
        return any((self.inner / f).is_file() for f in ("model.safetensors", "model.safetensors.index.json"))

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
        return Weights(self.inner)

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
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ModelError(f"{self.name}: modules.json cannot be read: {error}") from error

    def files(self, *, safetensors: bool) -> dict[str, Path]:
        """The files that it takes to run the model, by their names inside the folder.

        Args:
            safetensors: Whether it runs from its safetensors, also where there is an exported graph.

        Raises:
            ModelError: No weights can be used.
        """
        # Files in the Hub's cache are symbolic links; models have at most one level of subfolders.
        found = [file for pattern in ("*", "*/*") for file in self.path.glob(pattern) if file.is_file()]
        names = sorted(file.relative_to(self.path).as_posix() for file in found)
        # No part of the model: SageMaker's code in an unpacked archive, and the int8 copy that training adds.
        names = [name for name in names if not name.startswith(("code/", "int8/"))]
        wanted = needed_files(names, safetensors=safetensors)
        if wanted is None:
            raise ModelError(no_usable_weights(self.name, self.pickles))
        return {name: self.path / name for name in wanted}


def _read_json(file: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{name}: {file.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{name}: {file.name} should hold a JSON object; it holds {type(content).__name__}")
    return content
