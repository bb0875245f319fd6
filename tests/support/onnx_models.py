"""Folders of a family without a graph here, with an ONNX file; these models sum and weigh word vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from support.tiny_models import HIDDEN, change_json, random_tensors, write_reranker

TABLE: NDArray[np.float32] = random_tensors({"table": (162, HIDDEN)})["table"]
HEAD: NDArray[np.float32] = random_tensors({"head": (HIDDEN, 1)})["head"]


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
        # The last input is read, though it changes nothing: a graph may lose an input that nothing reads.
        helper.make_node("Cast", [inputs[-1]], ["other"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["other", "zero"], ["nothing"]),
        helper.make_node("Add", ["mask", "nothing"], ["weight"]),
        helper.make_node("Unsqueeze", ["weight", "last"], ["column"]),
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
    constants = {
        "table": TABLE,
        "head": HEAD,
        "last": np.array([2]),
        "middle": np.array([1]),
        "zero": np.zeros((), np.float32),
    }
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
