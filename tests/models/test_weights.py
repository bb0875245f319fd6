from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from support.tiny_models import PAIRS, save, write_json, write_reranker

from crossrank.errors import ModelError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.models.weights import Weights

NUMBERS: NDArray[np.float32] = np.random.default_rng(3).standard_normal((5, 7)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_every_float_becomes_float32(dtype: Any, tmp_path: Path) -> None:
    save(tmp_path, {"a": NUMBERS.astype(dtype), "b": np.zeros(3, dtype)})
    read = Weights(tmp_path).float32("a")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, NUMBERS.astype(dtype).astype(np.float32))


def write_by_hand(folder: Path, entry: dict[str, Any], data: bytes) -> None:
    """Write model.safetensors with one tensor, which the library might refuse to write."""
    header = json.dumps({"a": entry}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    upper = (NUMBERS.view(np.uint32) >> 16).astype(np.uint16)
    write_by_hand(
        tmp_path, {"dtype": "BF16", "shape": NUMBERS.shape, "data_offsets": [0, 70]}, upper.tobytes()
    )
    read = Weights(tmp_path).float32("a")
    np.testing.assert_array_equal(read, (upper.astype(np.uint32) << 16).view(np.float32))
    np.testing.assert_allclose(read, NUMBERS, rtol=0.01)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_model_stored_in_half_scores_near_the_model_in_full(dtype: Any, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    full = CrossEncoder(folder).logits(list(PAIRS))[0]
    save(
        folder, {name: value.astype(dtype) for name, value in load_file(folder / "model.safetensors").items()}
    )
    np.testing.assert_allclose(CrossEncoder(folder).logits(list(PAIRS))[0], full, atol=0.05)


def test_int8_is_multiplied_by_the_factor_of_its_row(tmp_path: Path) -> None:
    numbers = np.array([[1, -2], [3, 127]], np.int8)
    save(tmp_path, {"x.weight": numbers, "x.weight_scale": np.array([[0.5], [0.25]], np.float32)})
    weights = Weights(tmp_path)
    assert weights.is_int8
    assert weights.stored("x.weight").dtype == np.int8
    assert weights.float32("x.weight").tolist() == [[0.5, -1], [0.75, 31.75]]


def test_smoothing_of_the_inputs_is_taken_back_from_the_weights(tmp_path: Path) -> None:
    int8 = {"x.weight": np.array([[1, -2]], np.int8), "x.weight_scale": np.array([[0.5]], np.float32)}
    inputs = {
        "x.weight_smoothing": np.array([2, 0.5], np.float32),
        "x.weight_range": np.array([-1, 3], np.float32),
    }
    save(tmp_path, int8 | inputs | {"x.bias": NUMBERS})
    weights = Weights(tmp_path)
    assert weights.has_input_ranges
    assert weights.input_range("x.weight") == (-1, 3)
    assert weights.float32("x.weight").tolist() == [[0.25, -2]]
    assert weights.learnt() == ["x.bias", "x.weight"]


def test_type_that_is_not_supported_is_refused(tmp_path: Path) -> None:
    save(tmp_path, {"a": np.arange(3, dtype=np.uint16)})
    with pytest.raises(ModelError, match="stored as U16"):
        Weights(tmp_path).stored("a")


def test_tensor_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path, {"a": NUMBERS})
    with pytest.raises(ModelError, match="no tensor 'b'"):
        Weights(tmp_path).stored("b")


def test_old_names_of_layer_norms_are_known(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    expected = CrossEncoder(folder).logits(list(PAIRS))[0]
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in load_file(folder / "model.safetensors").items()
    }
    assert any(name.endswith("gamma") for name in old)
    save(folder, old)
    np.testing.assert_array_equal(CrossEncoder(folder).logits(list(PAIRS))[0], expected)


def shard(folder: Path) -> dict[str, str]:
    """Spread a model over two files with an index; return which file holds what."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: tensors[name] for name in held}, folder / file)
    where = {name: file for file, held in parts.items() for name in held}
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": where})
    return where


def test_model_in_parts_scores_as_the_model_in_one(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    expected = CrossEncoder(folder).logits(list(PAIRS))[0]
    shard(folder)
    np.testing.assert_array_equal(CrossEncoder(folder).logits(list(PAIRS))[0], expected)


def test_part_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors is missing"):
        Weights(folder)


@pytest.mark.parametrize("outside", ["../secret.safetensors", "/etc/secret", "sub/part.safetensors", 7])
def test_index_that_points_outside_its_folder_is_refused(outside: object, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    save(tmp_path, {"a": NUMBERS})
    (tmp_path / "model.safetensors").rename(tmp_path / "secret.safetensors")
    write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": outside}})
    with pytest.raises(ModelError, match=r"points outside its folder|is missing"):
        Weights(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": []}', "null", "\x80"])
def test_damaged_index_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content, encoding="latin-1")
    with pytest.raises(ModelError, match="is damaged"):
        Weights(tmp_path)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90888945\n"


@pytest.mark.parametrize("content", [POINTER, b"", b"\x08\0\0\0\0\0\0\0{\xff", b"PK\x03\x04 a pickle"])
def test_file_that_is_no_safetensors_is_refused_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"Git LFS pointer .* fetch the file again"):
        Weights(tmp_path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_download_that_broke_off_is_refused(kept: float, tmp_path: Path) -> None:
    file = write_reranker(tmp_path / "model") / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ModelError, match="broken download"):
        Weights(file.parent)


def test_header_that_points_beyond_the_file_is_refused(tmp_path: Path) -> None:
    write_by_hand(tmp_path, {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}, b"\0" * 8)
    with pytest.raises(ModelError, match="damaged"):
        Weights(tmp_path)
