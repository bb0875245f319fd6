from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import TEXTS, change_json, write_embedder

from crossrank.inference.bi_encoder import BiEncoder

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "golden.json").read_text())
# Float32 itself leaves about 5e-6 on these models.
NEAR = 2e-5


@pytest.mark.parametrize("pooling", ["max", "mean_sqrt_len"])
def test_rarer_poolings_leave_out_padding(pooling: str, tmp_path: Path) -> None:
    model = BiEncoder(write_embedder(tmp_path / "model", pooling=pooling, normalize=False))
    assert np.abs(model.encode_documents(TEXTS) - GOLDEN["bert"]["vectors"][pooling]).max() < NEAR


@pytest.mark.parametrize(
    ("activation", "function"),
    [("Tanh", np.tanh), ("Identity", lambda x: x), ("ReLU", lambda x: np.maximum(x, 0))],
)
def test_dense_layer_and_normalisation_follow_pooling(activation: str, function: Any, tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", dense=f"torch.nn.modules.activation.{activation}")
    layer = load_file(folder / "2_Dense" / "model.safetensors")
    pooled = np.array(GOLDEN["bert"]["vectors"]["mean"], np.float32)
    expected = function(pooled @ layer["linear.weight"].T + layer["linear.bias"])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(BiEncoder(folder).encode_documents(TEXTS) - expected).max() < NEAR


def test_dense_layer_that_names_no_activation_has_tanh(tmp_path: Path) -> None:
    named = write_embedder(tmp_path / "named", dense="torch.nn.modules.activation.Tanh")
    silent = write_embedder(tmp_path / "silent", dense="torch.nn.modules.activation.Tanh")
    change_json(silent / "2_Dense" / "config.json", activation_function=None)
    np.testing.assert_array_equal(
        BiEncoder(silent).encode_documents(TEXTS), BiEncoder(named).encode_documents(TEXTS)
    )
