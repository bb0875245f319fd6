"""A model's folder to one with int8 weights, a quarter of the size; and back to float32."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.families.model import Model

_COPIED = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "crossrank.json",
    # sentence-transformers' further modules: pooling, and dense layers with small weights of their own.
    "[0-9]_*/config.json",
    "[0-9]_*/model.safetensors",
)


def quantise_int8(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix [rows, d] to int8 with one scale a row [rows, 1], so that values are about int8 * scale.

    Symmetric rounding to nearest: no calibration data is needed, and the error of a weight is at most half
    of its row's scale.

    Example:
        >>> numbers, scale = quantise_int8(np.array([[1.0, -2.0]], np.float32))
        >>> numbers.tolist()
        [[64, -127]]
    """
    scale = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    scale = np.where(scale == 0, np.float32(1), scale).astype(np.float32)
    return np.round(values / scale).astype(np.int8), scale


def write_int8(model: Model, folder: Path) -> None:
    """Write a copy of a model in which every matrix of the encoder is int8.

    What its family keeps in float, the head above all, is written in float16.

    Args:
        model: A model with safetensors.
        folder: Where to write; it must not exist.

    Raises:
        ModelError: The model's weights cannot be read.
        FileExistsError: The folder exists.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for name in _weights(model):
        values = model.weights.float32(name)
        if _is_encoder_matrix(name, values, model.family.kept_in_float):
            tensors[name], tensors[f"{name}_scale"] = quantise_int8(values)
        else:
            tensors[name] = values.astype(np.float16) if values.ndim == 2 else values
    _write(model, folder, tensors)


def write_float32(model: Model, folder: Path) -> None:
    """Write a copy of a model in which every weight is float32, whatever it is stored as.

    Args:
        model: A model with safetensors.
        folder: Where to write; it must not exist.

    Raises:
        ModelError: The model's weights cannot be read.
        FileExistsError: The folder exists.
    """
    _write(model, folder, {name: model.weights.float32(name) for name in _weights(model)})


def _weights(model: Model) -> list[str]:
    """The names of what a model learnt: no factors of int8, and no buffers of old checkpoints."""
    names = model.weights.names()
    return sorted(
        name
        for name in names
        if not name.endswith("position_ids")
        and not (name.endswith("_scale") and name.removesuffix("_scale") in names)
    )


def _write(model: Model, folder: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    for source in (file for pattern in _COPIED for file in model.path.glob(pattern)):
        target = folder / source.relative_to(model.path)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
    partial = folder / "model.safetensors.partial"
    save_file(dict(tensors), partial, metadata={"format": "pt"})
    # The library lets nobody but the owner read; others should, where they read the rest.
    shutil.copymode(folder / "config.json", partial)
    partial.replace(folder / "model.safetensors")


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Write crossrank.json: what crossrank knows of a model beyond its Hugging Face files."""
    (folder / "crossrank.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _is_encoder_matrix(name: str, values: NDArray[np.float32], kept_in_float: frozenset[str]) -> bool:
    return values.ndim == 2 and name.endswith(".weight") and kept_in_float.isdisjoint(name.split("."))
