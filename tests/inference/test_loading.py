"""Models of families without a graph here, which run from an ONNX file; these sum and weigh word vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from support.onnx_models import HEAD, TABLE, export, strange_family
from support.tiny_models import PAIRS, TEXTS, write_embedder, write_reranker

from crossrank.errors import ModelError
from crossrank.families.model import open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.tokenizer import Tokenizer

FILES = ["onnx/model.onnx", "model.onnx"]


def vectors_of(folder: Path, pairs: list[tuple[str, str]]) -> list[NDArray[np.float32]]:
    return [TABLE[tokens.ids] for tokens in Tokenizer(open_model(folder)).pairs(pairs)]


@pytest.mark.parametrize("file", FILES)
def test_reranker_runs_from_its_onnx_file(file: str, tmp_path: Path) -> None:
    folder = strange_family(tmp_path / "model")
    export(folder / file, "logits")
    expected = [float((vectors.sum(0) @ HEAD)[0]) for vectors in vectors_of(folder, list(PAIRS))]
    np.testing.assert_allclose(CrossEncoder(folder).logits(list(PAIRS))[0], expected, atol=1e-4)


def test_reranker_runs_from_its_openvino_file(tmp_path: Path) -> None:
    folder = strange_family(tmp_path / "model")
    export(tmp_path / "model.onnx", "logits")
    (folder / "openvino").mkdir()
    graph = ov.Core().read_model(tmp_path / "model.onnx")
    ov.save_model(graph, folder / "openvino" / "openvino_model.xml", compress_to_fp16=False)
    expected = [float((vectors.sum(0) @ HEAD)[0]) for vectors in vectors_of(folder, list(PAIRS))]
    np.testing.assert_allclose(CrossEncoder(folder).logits(list(PAIRS))[0], expected, atol=1e-4)


def test_onnx_file_may_take_fewer_and_narrower_inputs(tmp_path: Path) -> None:
    folder = strange_family(tmp_path / "model")
    export(folder / "model.onnx", "logits")
    expected = CrossEncoder(folder).logits(list(PAIRS))[0]
    export(folder / "model.onnx", "logits", inputs=("input_ids", "attention_mask"), dtype=TensorProto.INT32)
    np.testing.assert_array_equal(CrossEncoder(folder).logits(list(PAIRS))[0], expected)


@pytest.mark.parametrize("output", ["last_hidden_state", "token_embeddings"])
def test_embedder_runs_from_its_onnx_file_and_pools_here(output: str, tmp_path: Path) -> None:
    folder = strange_family(tmp_path / "model", write_embedder)
    export(folder / "onnx" / "model.onnx", output)
    ids = [tokens.ids for tokens in Tokenizer(open_model(folder)).texts(TEXTS)]
    expected = np.stack([np.tanh(TABLE[i]).mean(0) for i in ids])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(BiEncoder(folder).encode_documents(TEXTS), expected, atol=1e-5)


def test_safetensors_are_preferred_where_there_is_a_graph(tiny: CrossEncoder, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    export(folder / "model.onnx", "logits")
    np.testing.assert_array_equal(CrossEncoder(folder).logits(list(PAIRS))[0], tiny.logits(list(PAIRS))[0])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (("input_ids", "attention_mask", "pixel_values"), "wants an input 'pixel_values'"),
        (("input_ids", "token_type_ids"), "takes no attention_mask"),
    ],
)
def test_inputs_that_are_not_a_text_models_are_refused(
    inputs: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    folder = strange_family(tmp_path / "model")
    export(folder / "model.onnx", "logits", inputs=inputs)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(folder)


def test_output_that_is_missing_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    folder = strange_family(tmp_path / "model")
    export(folder / "model.onnx", "last_hidden_state")
    with pytest.raises(ModelError, match="gives last_hidden_state; expected 'logits'"):
        CrossEncoder(folder)


def test_damaged_onnx_file_is_refused(tmp_path: Path) -> None:
    folder = strange_family(tmp_path / "model")
    (folder / "model.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read"):
        CrossEncoder(folder)


@pytest.mark.usefixtures("without_torch")
def test_family_without_a_graph_or_an_onnx_file_is_refused_with_what_would_work(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", config={"model_type": "strange"})
    with pytest.raises(
        ModelError, match=r"strange model.*'crossrank\[torch\]'.* bert, camembert.*onnx/model\.onnx"
    ):
        CrossEncoder(folder)


def test_code_that_a_model_brings_is_never_run(tmp_path: Path) -> None:
    folder = write_reranker(
        tmp_path / "model", config={"auto_map": {"AutoModelForSequenceClassification": "evil.Model"}}
    )
    (folder / "evil.py").write_text("import pathlib; pathlib.Path('ran').touch(); raise SystemExit")
    with pytest.raises(ModelError, match="Python code of its own, which crossrank never runs"):
        CrossEncoder(folder)
