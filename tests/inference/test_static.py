"""Static embedders: the mean of word vectors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.tiny_models import TEXTS, save, write_json, write_static

from crossrank.errors import InputError, ModelError
from crossrank.families.model import open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.chains import is_bi_encoder
from crossrank.models.locate import needed_files


def table_of(folder: Path) -> NDArray[np.float32]:
    return open_model(folder).weights.float32("embedding.weight")


def expected_of(folder: Path, table: NDArray[np.float32]) -> NDArray[np.float32]:
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(next(folder.rglob("tokenizer.json"))))
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    return np.stack([table[i].mean(0) if i else np.zeros(table.shape[1]) for i in ids]).astype(np.float32)


@pytest.mark.parametrize("place", ["", "0_StaticEmbedding"])
def test_vector_is_the_mean_of_its_words(place: str, tmp_path: Path) -> None:
    folder = write_static(tmp_path / "model", place=place)
    model = BiEncoder(folder)
    np.testing.assert_allclose(
        model.encode_documents(TEXTS), expected_of(folder, table_of(folder)), rtol=0, atol=1e-6
    )
    assert str(model.precision) == "float32 (a static model)"
    assert is_bi_encoder(open_model(folder))


def test_long_text_is_read_to_its_end(tmp_path: Path) -> None:
    model = BiEncoder(write_static(tmp_path / "model"))
    one, other = model.encode_documents(["bread " * 40_000 + "tide " * 40_000, "bread tide"])
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_table_of_model2vec_is_read_with_its_mapping_and_weights(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "model", normalize=True)
    table = table_of(folder).copy()  # the file that it is mapped from is written over below
    mapping = np.arange(len(table)) % 50
    factors = np.linspace(0.5, 2, len(table))
    tensors: dict[str, NDArray[Any]] = {
        "embeddings": table[:50].astype(np.float16),
        "mapping": mapping,
        "weights": factors,
    }
    save(folder, tensors)
    rows = table[:50].astype(np.float16).astype(np.float32)[mapping] * factors[:, None].astype(np.float32)
    expected = expected_of(folder, rows)
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(BiEncoder(folder).encode_documents(TEXTS), expected, rtol=0, atol=1e-5)


def test_folder_that_model2vec_saved_without_modules_is_read(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "model", normalize=True)
    expected = BiEncoder(folder).encode_documents(TEXTS)
    shutil.rmtree(folder / "1_Normalize")
    (folder / "modules.json").unlink()
    write_json(folder / "config.json", {"model_type": "model2vec", "normalize": True})
    np.testing.assert_array_equal(BiEncoder(folder).encode_documents(TEXTS), expected)


def test_dense_layer_after_the_table_is_computed(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "model", normalize=True)
    write_json(folder / "1_Normalize" / "config.json", {"in_features": 24, "out_features": 3, "bias": False})
    weight = np.random.default_rng(7).standard_normal((3, 24)).astype(np.float32)
    save(folder / "1_Normalize", {"linear.weight": weight})
    modules = [("", "StaticEmbedding"), ("1_Normalize", "Dense")]
    write_json(
        folder / "modules.json",
        [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in modules],
    )
    expected = np.tanh(expected_of(folder, table_of(folder)) @ weight.T)
    np.testing.assert_allclose(BiEncoder(folder).encode_documents(TEXTS), expected, rtol=0, atol=1e-5)


def test_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "model")
    save(folder, {"embedding.weight": table_of(folder)[:20].copy()})
    with pytest.raises(ModelError, match="tokens and the model only 20; they do not belong together"):
        BiEncoder(folder)


def test_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "model")
    save(folder, {"other": np.zeros((2, 2), np.float32)})
    with pytest.raises(ModelError, match=r"no tensor 'embedding\.weight' or 'embeddings'"):
        BiEncoder(folder)


def test_precision_is_float32(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"precision cannot be int8: .* is static"):
        BiEncoder(write_static(tmp_path / "model"), precision="int8")


def test_tables_have_fingerprints_of_their_own(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "model")
    before = BiEncoder(folder).fingerprint
    save(folder, {"embedding.weight": table_of(folder) * 2})
    assert BiEncoder(folder).fingerprint != before


def test_only_the_table_is_downloaded() -> None:
    files = [
        "modules.json",
        "0_StaticEmbedding/model.safetensors",
        "0_StaticEmbedding/tokenizer.json",
        "onnx/model.onnx",
    ]
    assert needed_files(files, safetensors=False) == [
        "modules.json",
        "0_StaticEmbedding/tokenizer.json",
        "0_StaticEmbedding/model.safetensors",
    ]
