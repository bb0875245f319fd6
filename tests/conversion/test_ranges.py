"""Ranges of activations: found on the sample texts, written with int8 weights, and used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tiny_models import FAMILIES, PAIRS, write_embedder, write_reranker

from crossrank.conversion.quantise import write_int8
from crossrank.conversion.ranges import input_ranges
from crossrank.families.model import Model, open_model
from crossrank.inference.engines.openvino import OpenVinoEngine
from crossrank.inference.sample_texts import sample_candidates
from crossrank.inference.spearman import spearman
from crossrank.inference.task import Classification
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.locate import bundled_models
from crossrank.models.modules import PLAIN_CLASSIFIER
from crossrank.models.weights import Weights


def logits(model: Model, products: str, pairs: list[tuple[str, str]]) -> np.ndarray:
    tokenizer = Tokenizer(model)
    task = Classification(PLAIN_CLASSIFIER)
    engine = OpenVinoEngine(lambda: task.build(model, products=products), tokenizer)  # type: ignore[arg-type]
    return engine.run(tokenizer.pairs(pairs))[:, 0]


def test_matrices_with_a_common_input_share_its_range(tmp_path: Path) -> None:
    model = open_model(write_reranker(tmp_path / "model"))
    found = input_ranges(model)
    layer = "bert.encoder.layer.0."
    query, key, value = (found[f"{layer}attention.self.{name}.weight"] for name in ("query", "key", "value"))
    assert query is key is value
    assert query.low < 0 < query.high
    assert query.smoothing.shape == (32,)
    assert (query.smoothing > 0).all()
    assert not any("classifier" in name or "embeddings" in name for name in found)


@pytest.mark.parametrize("family", FAMILIES)
def test_static_int8_scores_near_float32_in_every_family(family: str, tmp_path: Path) -> None:
    full = open_model(write_reranker(tmp_path / "full", family))
    write_int8(full, tmp_path / "int8")
    int8 = open_model(tmp_path / "int8")
    assert int8.weights.has_input_ranges
    expected = logits(full, "float", list(PAIRS))
    difference = np.abs(logits(int8, "static int8", list(PAIRS)) - expected).max()
    # Layers of 32 random channels lose more than trained ones.
    assert 0 < difference < 0.5 * expected.std()


def test_embedder_gets_ranges_too(tmp_path: Path) -> None:
    write_int8(open_model(write_embedder(tmp_path / "full")), tmp_path / "int8")
    assert Weights(tmp_path / "int8").has_input_ranges


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_models_have_ranges_but_for_what_follows_gelu_in_the_lower_layers(name: str) -> None:
    weights = open_model(name).weights
    without = [
        key for key in weights.learnt() if weights.scale(key) is not None and weights.input_range(key) is None
    ]
    assert [key for key in without if ".layer." in key] == [
        key for key in without if key.endswith(".output.dense.weight") and ".attention." not in key
    ]
    assert len(without) < 7


def test_bundled_reranker_ranks_alike_in_every_arithmetic() -> None:
    model = open_model("crossrank-minilm-l6")
    pairs = [(query, text[:400]) for query, texts in sample_candidates()[:3] for text in texts]
    expected = logits(model, "float", pairs)
    for products in ("int8", "static int8"):
        found = logits(model, products, pairs)
        assert spearman(found, expected) > 0.995
        assert np.abs(found - expected).mean() < 0.12
