"""Every family against golden.json, which transformers wrote (tests/golden/make_golden.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import FAMILIES, PAIRS, TEXTS, change_json, save, write_embedder, write_reranker

from crossrank.errors import ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.graphs.mpnet import relative_buckets

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "golden.json").read_text())
# Float32 itself leaves about 5e-6 on these models.
NEAR = 2e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_reranker_gives_the_logits_that_transformers_gives(family: str, tmp_path: Path) -> None:
    model = CrossEncoder(write_reranker(tmp_path / family, family))
    assert np.abs(model.logits(list(PAIRS))[0] - GOLDEN[family]["logits"]).max() < NEAR


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embedder_gives_the_vectors_that_transformers_gives(
    family: str, pooling: str, tmp_path: Path
) -> None:
    written = write_embedder(tmp_path / family, family, pooling=pooling, normalize=False)
    assert (
        np.abs(BiEncoder(written).encode_documents(TEXTS) - GOLDEN[family]["vectors"][pooling]).max() < NEAR
    )


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


def test_dense_layer_with_a_residual_is_refused(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", dense="torch.nn.modules.activation.Tanh")
    change_json(folder / "2_Dense" / "config.json", use_residual=True)
    with pytest.raises(ModelError, match="residual"):
        BiEncoder(folder)


def test_padding_id_that_the_configuration_leaves_out_is_the_familys(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", "roberta")
    change_json(folder / "config.json", pad_token_id=None)
    model = CrossEncoder(folder)
    assert model.tokenizer.max_tokens == FAMILIES["roberta"].longest
    assert np.abs(model.logits(list(PAIRS))[0] - GOLDEN["roberta"]["logits"]).max() < NEAR


def test_weights_without_the_familys_prefix_are_found(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    bare = {name.removeprefix("bert."): v for name, v in load_file(folder / "model.safetensors").items()}
    save(folder, bare)
    assert np.abs(CrossEncoder(folder).logits(list(PAIRS))[0] - GOLDEN["bert"]["logits"]).max() < NEAR


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "squareplus"}, "squareplus"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"num_attention_heads": 5}, "no multiple"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers"),
        ({"num_hidden_layers": 3}, "no tensor 'bert.encoder.layer.2|no tensor 'encoder.layer.2"),
        ({"vocab_size": 100}, "do not belong together"),
    ],
)
def test_configuration_that_the_graph_cannot_follow_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = write_reranker(tmp_path / "model")
    change_json(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(folder)


def test_relative_distances_share_buckets_as_in_t5() -> None:
    near = relative_buckets(np.arange(-8, 9), 32)
    assert near.tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0, 17, 18, 19, 20, 21, 22, 23, 24]
    assert relative_buckets(np.array([-1000, -128, 128, 1000]), 32).tolist() == [15, 15, 31, 31]
