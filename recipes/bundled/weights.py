"""The float weights of the bundled cross-encoder, kept in this folder: what the next training starts from.

    python recipes/bundled/weights.py keep MODEL
    python recipes/bundled/weights.py write FOLDER

``keep`` writes what the training changed of MODEL, in float16, next to this file; ``write`` makes a float32
folder of it. The word embeddings are those of the bundled model: no training of this recipe changes them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from crossrank.families.model import open_model
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.training.base_model import write_float_folder

FILE = Path(__file__).with_name("crossrank-minilm-l6.float16.safetensors")
FROZEN = "bert.embeddings.word_embeddings.weight"


def keep(model: Path) -> None:
    """Write FILE from a float folder."""
    tensors = load_file(model / "model.safetensors")
    kept = {name: values.astype(np.float16) for name, values in tensors.items() if name != FROZEN}
    save_file(kept, FILE, metadata={"format": "pt"})


def write(folder: Path) -> None:
    """Write a float32 folder that any library loads."""
    write_float_folder(open_model(DEFAULT_CROSS_ENCODER), folder)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for name, values in load_file(FILE).items():
        tensors[name] = values.astype(np.float32)
    save_file(tensors, file, metadata={"format": "pt"})


if __name__ == "__main__":
    {"keep": keep, "write": write}[sys.argv[1]](Path(sys.argv[2]))
