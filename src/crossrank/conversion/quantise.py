"""A model's folder to one with int8 weights, a quarter of the size; and back to float32."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.conversion.ranges import input_ranges
from crossrank.families.int8 import is_int8_matrix, quantise_int8
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


def write_int8(model: Model, folder: Path) -> None:
    """Write a copy of a model in which every matrix of the encoder is int8.

    What its family keeps in float, the head above all, is written in float16. The ranges of the matrices'
    inputs go with them (:func:`~crossrank.conversion.ranges.input_ranges`). A model that is stored in int8
    stays as it is.

    Args:
        model: A model with safetensors.
        folder: Where to write; it must not exist.

    Raises:
        ModelError: The model's weights cannot be read.
        FileExistsError: The folder exists.
    """
    tensors: dict[str, NDArray[Any]] = {}
    if model.weights.is_int8:
        learnt = set(model.weights.learnt())
        for name in model.weights.names():
            stored = model.weights.stored(name)
            tensors[name] = _small(stored) if name in learnt else stored
        _write(model, folder, tensors)
        return
    ranges = input_ranges(model)
    for name in model.weights.learnt():
        values = model.weights.float32(name)
        if known := ranges.get(name):
            values = values * known.smoothing
            tensors[f"{name}_smoothing"] = known.smoothing
            tensors[f"{name}_range"] = np.array([known.low, known.high], np.float32)
        if is_int8_matrix(name, values, model.family.kept_in_float):
            tensors[name], tensors[f"{name}_scale"] = quantise_int8(values)
        else:
            tensors[name] = _small(values)
    _write(model, folder, tensors)


def _small(values: NDArray[Any]) -> NDArray[Any]:
    """Matrices of floats in float16, everything else as it is."""
    return values.astype(np.float16) if values.ndim == 2 and values.dtype == np.float32 else values


def write_float32(model: Model, folder: Path) -> None:
    """Write a copy of a model in which every weight is float32, whatever it is stored as.

    Args:
        model: A model with safetensors.
        folder: Where to write; it must not exist.

    Raises:
        ModelError: The model's weights cannot be read.
        FileExistsError: The folder exists.
    """
    _write(model, folder, {name: model.weights.float32(name) for name in model.weights.learnt()})


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
