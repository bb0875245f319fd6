from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import save, write_embedder, write_reranker

from crossrank.conversion.parity import (
    LOWEST_SPEARMAN,
    LOWEST_TOP_10,
    Parity,
    Speed,
    compare,
    measure_speed,
    sample_candidates,
    spearman,
)
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder


@pytest.mark.parametrize(
    ("second", "expected"),
    [([1, 2, 3, 4], 1), ([10, 20, 21, 1000], 1), ([4, 3, 2, 1], -1), ([1, 2, 4, 3], 0.8), ([5, 5, 5, 5], 0)],
)
def test_spearman_is_that_of_the_ranks(second: list[float], expected: float) -> None:
    assert spearman(np.float32([1, 2, 3, 4]), np.float32(second)) == pytest.approx(expected)


def test_equal_values_share_their_mean_rank() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    assert spearman(np.float32([1, 2, 2, 3]), np.float32([1, 2, 3, 4])) == pytest.approx(0.9486833)
    assert spearman(np.float32([7, 7]), np.float32([7, 7])) == 1


def test_samples_are_two_hundred_pairs_with_answers_and_long_texts() -> None:
    samples = sample_candidates()
    assert len(samples) == 8
    for question, passages in samples:
        assert len(set(passages)) == 26
        assert min(map(len, passages[-2:])) > 3000, f"{question}: longer than models read"
    question, passages = samples[1]
    assert question == "Is it a problem if a vaccine freezes by mistake?"
    assert any("freez" in text for text in passages[:5])


def test_model_that_ranks_the_other_way_round_is_as_far_as_can_be(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    opposite = {
        name: -values if name.startswith("classifier") else values for name, values in tensors.items()
    }
    save(write_reranker(tmp_path / "opposite"), opposite)
    model = CrossEncoder(folder)
    parity = compare(model, CrossEncoder(tmp_path / "opposite"))
    logits = model.logits([(query, text) for query, texts in sample_candidates() for text in texts])[0]
    assert parity.pairs == len(logits) == 208
    assert parity.spearman == pytest.approx(-1)
    assert parity.top_10_agreement == 0, "the best ten of 26 are the worst"
    assert parity.largest_difference == pytest.approx(2 * np.abs(logits).max())
    assert parity.mean_difference == pytest.approx(2 * np.abs(logits).mean(), rel=1e-5)
    assert parity.mean_cosine is None
    assert not parity.keeps_order


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_vectors_of_half_the_length_change_what_their_similarity_says(
    similarity: str, tmp_path: Path
) -> None:
    options = {"normalize": False, "settings": {"similarity_fn_name": similarity}, "dense": "Identity"}
    model = BiEncoder(write_embedder(tmp_path / "model", **options))
    halved = write_embedder(tmp_path / "halved", **options) / "2_Dense"
    save(halved, {name: values / 2 for name, values in load_file(halved / "model.safetensors").items()})
    parity = compare(model, BiEncoder(halved.parent))
    assert parity.lowest_cosine == pytest.approx(1, abs=1e-5)
    assert parity.spearman == pytest.approx(1, abs=1e-3), "the order stays"
    unchanged = {"cosine": True, "dot": False, "euclidean": False}[similarity]
    assert (parity.largest_difference < 1e-4) is unchanged


@pytest.mark.parametrize(
    ("rank_correlation", "top_10", "keeps"),
    [
        (LOWEST_SPEARMAN, LOWEST_TOP_10, True),
        (LOWEST_SPEARMAN - 0.001, 1, False),
        (1, LOWEST_TOP_10 - 0.001, False),
        (float("nan"), 1, False),
    ],
)
def test_order_is_kept_where_both_measures_say_so(
    rank_correlation: float, top_10: float, keeps: bool
) -> None:
    assert Parity(208, 0.1, 0.01, rank_correlation, top_10).keeps_order is keeps


def test_speed_is_a_ratio_of_two_rates(tiny: CrossEncoder, tiny_embedder: BiEncoder) -> None:
    assert Speed(original=50, copy=150).ratio == 3
    for model in (tiny, tiny_embedder):
        speed = measure_speed(model, model)
        assert min(speed.original, speed.copy) > 0
