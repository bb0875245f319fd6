"""modules.json that a model cannot be built from: one clear line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import (
    HIDDEN,
    PAIRS,
    change_json,
    random_tensors,
    save,
    write_embedder,
    write_json,
    write_modular,
    write_reranker,
)

from crossrank.errors import ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reranker with the modules of Ettin's."""
    return write_modular(tmp_path / "model")


def test_modules_of_a_reranker_are_computed_in_turn(folder: Path) -> None:
    """With weights that are zero, or one, the score can be told without the transformer."""
    expected = {"linear.weight": np.zeros((HIDDEN, HIDDEN)), "linear.bias": np.full(HIDDEN, 2.0)}
    change_json(folder / "2_Dense" / "config.json", bias=True, activation_function="torch.nn.ReLU")
    save(folder / "2_Dense", {name: values.astype(np.float32) for name, values in expected.items()})
    gain, shift = np.ones(HIDDEN, np.float32), np.arange(HIDDEN, dtype=np.float32)
    save(folder / "3_LayerNorm", {"norm.weight": gain, "norm.bias": shift})  # equal numbers become 0
    weight = np.full((1, HIDDEN), 0.5, np.float32)
    save(folder / "4_Dense", {"linear.weight": weight, "linear.bias": np.full(1, -3, np.float32)})
    logits, _ = CrossEncoder(folder).logits(list(PAIRS))
    np.testing.assert_allclose(logits, 0.5 * shift.sum() - 3, rtol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [
        "sentence_transformers.models.WordWeights",
        "temperature_logit_score.TemperatureLogitScore",
        "my-user/my-model--pooling.Pooling",
        "custom.Pooling",
    ],
)
def test_module_that_is_not_known_is_named(kind: str, folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = kind
    write_json(folder / "modules.json", modules)
    with pytest.raises(ModelError, match=f"has a module '{kind}', which is not supported"):
        CrossEncoder(folder)


@pytest.mark.parametrize(
    ("module", "changes", "message"),
    [
        (
            "4_Dense",
            {"module_input_name": "embeddings"},
            "4_Dense reads 'embeddings', and before it there are",
        ),
        (
            "2_Dense",
            {"in_features": 16},
            r"2_Dense/config.json does not fit its weights: .* 32x16 and is 32x32",
        ),
        ("2_Dense", {"bias": True}, r"linear.bias should be 32 and is not there"),
        ("4_Dense", {"bias": False}, r"it has no place for linear.bias"),
        ("4_Dense", {"use_residual": True}, r"residual.weight should be 1x32 and is not there"),
        (
            "2_Dense",
            {"activation_function": "transformers.activations.NewGELUActivation"},
            "has the activation",
        ),
        ("3_LayerNorm", {"dimension": 16}, r"norm.weight should be 16 and is 32"),
        (
            "1_Pooling",
            {"pooling_mode": "median"},
            "pools by median, which is not supported; known are cls, max",
        ),
        ("1_Pooling", {"include_prompt": False}, "leaves its prompt out of the pooling"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    module: str, changes: dict[str, Any], message: str, folder: Path
) -> None:
    change_json(folder / module / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(folder)


def test_dense_layer_of_the_wrong_width_is_refused(folder: Path) -> None:
    change_json(folder / "4_Dense" / "config.json", in_features=16)
    save(folder / "4_Dense", random_tensors({"linear.weight": (1, 16), "linear.bias": (1,)}))
    with pytest.raises(ModelError, match="4_Dense takes 16 numbers, and 3_LayerNorm gives 32"):
        CrossEncoder(folder)


def test_weights_of_a_module_that_are_pickled_or_missing_are_refused(folder: Path) -> None:
    (folder / "4_Dense" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"4_Dense has no model\.safetensors\. Load and save"):
        CrossEncoder(folder)
    (folder / "4_Dense" / "pytorch_model.bin").touch()
    with pytest.raises(ModelError, match=r"only pytorch_model\.bin, which can run code when it is opened"):
        CrossEncoder(folder)


def test_modules_and_a_classifier_in_one_folder_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.weight"] = np.ones((1, HIDDEN), np.float32)
    save(folder, tensors)
    with pytest.raises(ModelError, match=r"two heads, the classifier in its weights \(classifier\.weight\)"):
        CrossEncoder(folder)


def test_modules_of_an_embedder_next_to_a_classifier_are_passed_over(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    expected = CrossEncoder(folder).predict(list(PAIRS))
    embedder = write_embedder(tmp_path / "embedder")
    for file in ("modules.json", "1_Pooling/config.json"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text((embedder / file).read_text())
    np.testing.assert_array_equal(CrossEncoder(folder).predict(list(PAIRS)), expected)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (
            {"type": "sentence_transformers.models.CLIPModel"},
            "begins with 'sentence_transformers.models.CLIPModel'",
        ),
        ({"path": "0_Transformer"}, "keeps its Transformer in the folder 0_Transformer"),
    ],
)
def test_other_beginnings_are_refused(first: dict[str, str], message: str, folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[0] |= first
    write_json(folder / "modules.json", modules)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"transformer_task": "any-to-any"}, "has the transformer task 'any-to-any'"),
        (
            {"modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}}},
            "reads 'pooler_output' of its transformer",
        ),
        (
            {"transformer_task": "text-generation", "module_output_name": None},
            "1_Pooling reads 'token_embeddings', and before it there are causal_logits",
        ),
    ],
)
def test_what_a_transformer_does_otherwise_is_refused(
    settings: dict[str, Any], message: str, folder: Path
) -> None:
    change_json(folder / "sentence_bert_config.json", **settings)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(folder)


def test_reranker_of_modules_is_no_embedder(folder: Path) -> None:
    with pytest.raises(ModelError, match="is a reranker: its modules give scores"):
        BiEncoder(folder)


def test_number_of_scores_is_that_of_the_last_dense_layer(tmp_path: Path) -> None:
    model = CrossEncoder(write_modular(tmp_path / "model", labels=3))
    assert model.num_labels == 3
    assert model.predict(list(PAIRS)).shape == (len(PAIRS), 3)
