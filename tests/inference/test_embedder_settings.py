from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import TEXTS, change_json, write_embedder

from crossrank.errors import InputError, ModelError
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


def test_vectors_are_truncated_and_told_apart_by_it(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model")
    whole, short = BiEncoder(folder), BiEncoder(folder, truncate_dim=8)
    np.testing.assert_array_equal(short.encode_documents(TEXTS), whole.encode_documents(TEXTS)[:, :8])
    assert short.encode_queries([]).shape == (0, 8)
    assert short.fingerprint != whole.fingerprint
    change_json(folder / "config_sentence_transformers.json", truncate_dim=8)
    assert BiEncoder(folder).fingerprint == short.fingerprint
    assert BiEncoder(folder, truncate_dim=99).encode_queries(["a"]).shape == whole.encode_queries(["a"]).shape


def test_given_prompts_stand_in_for_the_saved_ones(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", settings={"prompts": {"query": "who ", "document": "the "}})
    model = BiEncoder(folder, prompts={"query": "where is "})
    plain = BiEncoder(folder, prompts={"query": "", "document": ""})
    for texts, ours in (("where is bread", model.encode_queries), ("the bread", model.encode_documents)):
        np.testing.assert_array_equal(ours(["bread"]), plain.encode_documents([texts]))
    copied = pickle.loads(pickle.dumps(model))
    assert copied.fingerprint == model.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [({"truncate_dim": 0}, "truncate_dim must be at least 1"), ({"prompts": {"passage": ""}}, "'query' and")],
)
def test_settings_that_are_none_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        BiEncoder(write_embedder(tmp_path / "model"), **options)


def test_saved_length_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", settings={"truncate_dim": "8"})
    with pytest.raises(ModelError, match="truncate_dim must be a whole number from 1"):
        BiEncoder(folder)
