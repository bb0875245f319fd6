from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.modern_models import MODERN, write_modern_reranker
from support.tiny_models import FAMILIES, PAIRS, TEXTS, write_embedder, write_reranker

from crossrank.conversion.quantise import write_int8
from crossrank.families.int8 import quantise_int8
from crossrank.families.model import open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.models.locate import bundled_models, locate_model
from crossrank.models.weights import Weights


@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.integers(1, 9), st.integers(1, 9))
def test_error_of_a_weight_is_at_most_half_of_its_rows_scale(
    seed: int, size: float, rows: int, columns: int
) -> None:
    values = (np.random.default_rng(seed).standard_normal((rows, columns)) * size).astype(np.float32)
    numbers, scale = quantise_int8(values)
    assert numbers.dtype == np.int8
    assert np.abs(numbers.astype(int)).max() <= 127
    assert (np.abs(numbers * scale - values) <= scale * (0.5 + 1e-4)).all()


def test_row_of_zeros_stays_zeros() -> None:
    numbers, scale = quantise_int8(np.zeros((2, 3), np.float32))
    assert not numbers.any()
    assert np.isfinite(scale).all()


@pytest.mark.parametrize("family", [*FAMILIES, *MODERN])
def test_int8_model_scores_near_its_float32_model(family: str, tmp_path: Path) -> None:
    write = write_reranker if family in FAMILIES else write_modern_reranker
    full = open_model(write(tmp_path / "full", family))
    write_int8(full, tmp_path / "int8")
    expected = CrossEncoder(full.path).logits(list(PAIRS))[0]
    logits = CrossEncoder(tmp_path / "int8").logits(list(PAIRS))[0]
    assert Weights(tmp_path / "int8").is_int8
    assert 0 < np.abs(logits - expected).max() < 0.3 * expected.std()


def test_int8_embedder_with_a_dense_layer_gives_near_vectors(tmp_path: Path) -> None:
    full = open_model(write_embedder(tmp_path / "full", dense="torch.nn.modules.activation.Tanh"))
    write_int8(full, tmp_path / "int8")
    exact = BiEncoder(full.path).encode_documents(TEXTS)
    cosines = (exact * BiEncoder(tmp_path / "int8").encode_documents(TEXTS)).sum(1)
    assert cosines.min() > 0.99


def test_int8_of_an_int8_model_is_the_same(tmp_path: Path) -> None:
    write_int8(open_model(write_reranker(tmp_path / "full")), tmp_path / "int8")
    write_int8(open_model(tmp_path / "int8"), tmp_path / "again")
    once, again = Weights(tmp_path / "int8"), Weights(tmp_path / "again")
    assert once.names() == again.names()
    for name in once.names():
        assert once.stored(name).dtype == again.stored(name).dtype
        np.testing.assert_allclose(again.float32(name), once.float32(name), rtol=1e-6)


def test_existing_folder_is_not_written_over(tmp_path: Path) -> None:
    model = open_model(write_reranker(tmp_path / "model"))
    before = (model.path / "model.safetensors").read_bytes()
    with pytest.raises(FileExistsError):
        write_int8(model, model.path)
    assert (model.path / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_model_is_int8_and_small_enough_to_ship(name: str) -> None:
    folder = locate_model(name)
    assert Weights(folder).is_int8
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 25_000_000
