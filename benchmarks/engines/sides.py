"""Who is compared, and how each is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The names that the tables and the ratios go by.
REFERENCE = "sentence-transformers"
BUNDLED, SAME, EXACT = "crossrank, int8", "crossrank, float32", 'crossrank, precision="float32"'
# Among these a side that takes a batch size chooses, for each case.
BATCHES = (4, 8, 16, 32)


@dataclass(frozen=True)
class Side:
    """One library with one setting; each is a process of its own.

    Attributes:
        name: How the tables call it.
        environment: Under .venv-bench; empty for crossrank, which runs where the benchmark runs.
        script: Of benchmarks/peers/engines.
        folder: Which of the model's folders it loads.
        setting: What its script understands.
        chooses_batch: Whether the batch size is tried; otherwise it is the library's own.
        in_large: Whether it takes part in the large cases, where a round of all sides would take too long.
        words: What is set, for people.
    """

    name: str
    environment: str
    script: str
    folder: str
    setting: dict[str, Any] = field(default_factory=dict)
    chooses_batch: bool = False
    in_large: bool = False
    words: str = "defaults"

    @property
    def is_ours(self) -> bool:
        """Whether it is crossrank."""
        return not self.environment


_ST, _ONNX, _OPENVINO = (f"sentence-transformers{end}" for end in ("", "-onnx", "-openvino"))
_ST_SCRIPT = "with_sentence_transformers.py"


def _onnx(file: str) -> dict[str, Any]:
    return {"backend": "onnx", "file": f"onnx/{file}.onnx"}


def _openvino(file: str) -> dict[str, Any]:
    return {"backend": "openvino", "file": f"openvino/{file}.xml"}


SIDES = (
    Side(BUNDLED, "", "with_crossrank.py", "int8", in_large=True, words="defaults; weights stored in int8"),
    Side(
        SAME, "", "with_crossrank.py", "float32",
        in_large=True, words="defaults; weights stored in float32",
    ),
    Side(
        EXACT, "", "with_crossrank.py", "float32", {"precision": "float32"},
        in_large=True, words="the same, computed in float32",
    ),
    Side(
        'crossrank, precision="bfloat16"', "", "with_crossrank.py", "float32", {"precision": "bfloat16"},
        in_large=True, words="the same, computed in bfloat16",
    ),
    Side(
        REFERENCE, _ST, _ST_SCRIPT, "float32",
        in_large=True, words="defaults: PyTorch, float32, batches of 32",
    ),
    Side(f"{_ST}, best batch", _ST, _ST_SCRIPT, "float32", chooses_batch=True, words="PyTorch, float32"),
    Side(
        f"{_ST}, bfloat16", _ST, _ST_SCRIPT, "float32", {"dtype": "bfloat16"},
        chooses_batch=True, in_large=True, words='PyTorch, `model_kwargs={"dtype": "bfloat16"}`',
    ),
    Side(
        f"{_ST}, compiled", _ST, _ST_SCRIPT, "float32", {"dtype": "bfloat16", "compile": True},
        chooses_batch=True, in_large=True, words="the same after `model.compile(dynamic=True)`",
    ),
    Side(
        f"{_ST}, ONNX", _ONNX, _ST_SCRIPT, "onnx", _onnx("model"),
        words='`backend="onnx"`, float32, batches of 32',
    ),
    Side(
        f"{_ST}, ONNX O3", _ONNX, _ST_SCRIPT, "onnx", _onnx("model_O3"),
        chooses_batch=True, words="`export_optimized_onnx_model`, O3, float32",
    ),
    Side(
        f"{_ST}, ONNX int8", _ONNX, _ST_SCRIPT, "onnx", _onnx("model_int8"),
        chooses_batch=True, in_large=True, words="`export_dynamic_quantized_onnx_model`",
    ),
    Side(
        f"{_ST}, OpenVINO", _OPENVINO, _ST_SCRIPT, "openvino", _openvino("openvino_model"),
        words='`backend="openvino"`, OpenVINO\'s own precision (bfloat16 where there is AMX), batches of 32',
    ),
    Side(
        f"{_ST}, OpenVINO, best batch", _OPENVINO, _ST_SCRIPT, "openvino", _openvino("openvino_model"),
        chooses_batch=True, in_large=True, words="the same",
    ),
    Side(
        f"{_ST}, OpenVINO int8", _OPENVINO, _ST_SCRIPT, "openvino", _openvino("openvino_model_int8"),
        chooses_batch=True, in_large=True,
        words="`export_static_quantized_openvino_model`, calibrated with pairs of the sample texts",
    ),
    Side(
        "LangChain", "langchain", "with_langchain.py", "float32",
        words="`HuggingFaceCrossEncoder`, defaults: PyTorch, float32, batches of 32",
    ),
    Side(
        "LangChain, bfloat16", "langchain", "with_langchain.py", "float32", {"dtype": "bfloat16"},
        chooses_batch=True, words="the same with bfloat16, called with sorted batches",
    ),
    Side(
        "FlashRank", "flashrank", "with_flashrank.py", "flashrank-float32",
        words="defaults on the float32 ONNX file: all passages are one batch",
    ),
    Side(
        "FlashRank, int8", "flashrank", "with_flashrank.py", "flashrank-int8",
        chooses_batch=True, in_large=True,
        words="sentence-transformers' int8 ONNX file, called with sorted batches",
    ),
    Side(
        "fastembed", "fastembed", "with_fastembed.py", "onnx", {"file": "onnx/model.onnx"},
        words="defaults on the float32 ONNX file: unsorted batches of 64",
    ),
    Side(
        "fastembed, int8", "fastembed", "with_fastembed.py", "onnx", {"file": "onnx/model_int8.onnx"},
        chooses_batch=True, in_large=True,
        words="sentence-transformers' int8 ONNX file, called with sorted batches",
    ),
)  # fmt: skip
