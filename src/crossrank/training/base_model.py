"""Write the base model of a training as a float folder that PyTorch can load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from crossrank.errors import ModelError
from crossrank.models.folder import ModelFolder

_OF_THE_STORED_WEIGHTS = ("dtype", "torch_dtype", "quantization_config")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def write_float_folder(model: ModelFolder, folder: Path) -> None:
    """Write a model's weights in float32 under their own names, with its configuration and tokenizer.

    int8 weights, such as those of the bundled models, are dequantised; training makes up for the rounding.
    The settings of an embedder (its pooling) are left out.

    Args:
        model: A model with safetensors.
        folder: The folder to write; existing content is replaced.

    Raises:
        ModelError: The model has no safetensors, or they are damaged.
    """
    from safetensors.numpy import save_file

    if not model.has_safetensors:
        raise ModelError(
            f"{model.name} has no safetensors weights, so it cannot be trained further; "
            "save it with transformers' save_pretrained first"
        )
    weights = model.weights
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(weights.float32(name)) for name in weights.learnt()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = {key: value for key, value in model.config.items() if key not in _OF_THE_STORED_WEIGHTS}
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    for name in _TOKENIZER_FILES:
        if (model.path / name).is_file():
            shutil.copyfile(model.path / name, folder / name)
