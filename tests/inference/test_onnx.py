"""Models of families without a graph here, which run from an ONNX file; these sum and weigh word vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.tiny_models import (
    HIDDEN,
    PAIRS,
    TEXTS,
    change_json,
    random_tensors,
    write_embedder,
    write_reranker,
)

from crossrank.errors import ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.folder import open_model

TABLE: NDArray[np.float32] = random_tensors({"table": (162, HIDDEN)})["table"]
HEAD: NDArray[np.float32] = random_tensors({"head": (HIDDEN, 1)})["head"]
FILES = ["onnx/model.onnx", "model.onnx"]


def export(
    file: Path,
    output: str,
    *,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
    dtype: int = TensorProto.INT64,
) -> None:
    """Write a graph whose ``output`` is a logit, or a vector for each token."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", [inputs[1]], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["vectors", "column"], ["read"]),
    ]
    if output == "logits":
        nodes += [
            helper.make_node("ReduceSum", ["read", "middle"], ["sum"], keepdims=0),
            helper.make_node("MatMul", ["sum", "head"], ["logits"]),
        ]
        shape: list[str | int] = ["batch", 1]
    else:
        nodes.append(helper.make_node("Tanh", ["read"], [output]))
        shape = ["batch", "length", HIDDEN]
    constants = {"table": TABLE, "head": HEAD, "last": np.array([2]), "middle": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, dtype, ["batch", "length"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)


def strange_family(folder: Path, write: Any = write_reranker) -> Path:
    """A folder of a family that has no graph here, and no weights."""
    write(folder)
    (folder / "model.safetensors").unlink()
    change_json(folder / "config.json", model_type="strange")
    return folder


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


def test_family_without_a_graph_or_an_onnx_file_is_refused_with_what_would_work(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", config={"model_type": "strange"})
    with pytest.raises(ModelError, match=r"is a strange model; .*onnx/model\.onnx.* bert, camembert"):
        CrossEncoder(folder)


def test_code_that_a_model_brings_is_never_run(tmp_path: Path) -> None:
    folder = write_reranker(
        tmp_path / "model", config={"auto_map": {"AutoModelForSequenceClassification": "evil.Model"}}
    )
    (folder / "evil.py").write_text("import pathlib; pathlib.Path('ran').touch(); raise SystemExit")
    with pytest.raises(ModelError, match="Python code of its own, which crossrank never runs"):
        CrossEncoder(folder)
