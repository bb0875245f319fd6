"""Options that sentence-transformers passes to transformers: supported, without effect, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossrank.errors import InputError
from crossrank.inference.arithmetic import Precision
from crossrank.inference.devices import check_device

# What each dtype of model_kwargs asks for; None is what the precision says.
_PRECISIONS: Mapping[str, Precision | None] = {
    "None": None,
    "auto": None,
    "float32": "float32",
    "bfloat16": "bfloat16",
}
# Values that ask for the default behaviour; None stands for any value.
_HARMLESS: Mapping[str, frozenset[str] | None] = {
    "attn_implementation": None,
    "classifier_dropout": None,
    "export": frozenset({"None", "False"}),
    "local_files_only": None,
    "low_cpu_mem_usage": None,
    "provider": frozenset({"None", "CPUExecutionProvider"}),
    "truncation_side": frozenset({"right"}),
    "trust_remote_code": frozenset({"None", "False"}),
    "use_fast": frozenset({"None", "True"}),
    "use_safetensors": frozenset({"None", "True"}),
}
_ADVICE = {
    "chat_template": "write it to chat_template.jinja in the model's folder",
    "dtype": "auto, float32 and bfloat16 are known; precision also has int8",
    "export": "crossrank runs what is there, without an export",
    "file_name": "copy that file to onnx/model.onnx in a folder of its own, and name the folder",
    "provider": "device says where a model runs",
    "trust_remote_code": "crossrank never runs code that comes with a model; such a model works with an ONNX "
    "file (onnx/model.onnx) in its folder",
}
_ADVICE["torch_dtype"] = _ADVICE["dtype"]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options that have an effect when a model is loaded.

    Attributes:
        device: The device to run on; None for the CPU.
        max_length: Maximum number of tokens per pair.
        num_labels: The number of outputs that the model must have.
        precision: The arithmetic.
    """

    device: str | None
    max_length: int | None
    num_labels: int | None
    precision: Precision


def load_options(
    device: object,
    max_length: int | None,
    num_labels: int | None,
    precision: Precision,
    *,
    model_kwargs: Mapping[str, Any] | None,
    processor_kwargs: Mapping[str, Any] | None,
    config_kwargs: Mapping[str, Any] | None,
) -> LoadOptions:
    """Read the arguments that sentence-transformers would pass to transformers.

    Raises:
        InputError: One is not supported; the message says what to do instead.
    """
    network, processor, config = (
        dict(given or {}) for given in (model_kwargs, processor_kwargs, config_kwargs)
    )
    device = network.pop("device_map", None) or device
    for key in ("torch_dtype", "dtype"):
        if key in network:
            precision = _precision(key, network.pop(key), precision)
    shorter, labels = processor.pop("model_max_length", None), config.pop("num_labels", None)
    name = None if device is None else str(device)
    check_device(name)
    for where, given in (
        ("model_kwargs", network),
        ("processor_kwargs", processor),
        ("config_kwargs", config),
    ):
        for key, value in given.items():
            _check(where, key, value)
    return LoadOptions(
        name,
        shorter if max_length is None else max_length,
        labels if num_labels is None else num_labels,
        precision,
    )


def _precision(key: str, dtype: object, asked: Precision) -> Precision:
    """What a dtype asks for; the argument ``precision`` comes first, unless it is ``auto``."""
    name = str(dtype).removeprefix("torch.")
    if name not in _PRECISIONS:
        raise _refused("model_kwargs", key, dtype)
    return asked if asked != "auto" else _PRECISIONS[name] or asked


def _check(where: str, key: str, value: object) -> None:
    harmless = _HARMLESS.get(key, frozenset())
    if harmless is not None and str(value) not in harmless:
        raise _refused(where, key, value)


def _refused(where: str, key: str, value: object) -> InputError:
    known = ", ".join(sorted({*_HARMLESS, "device_map", "dtype", "model_max_length", "num_labels"}))
    advice = _ADVICE.get(key, f"known are {known}")
    return InputError(f"{where}[{key!r}] cannot be {value!r:.60}: {advice}")


def refuse_what_cannot_be(
    *,
    modules: object,
    trust_remote_code: bool,
    keep_in_fp32_modules: object,
    backend: str,
) -> None:
    """Check the constructor's arguments that need PyTorch.

    Raises:
        InputError: One of them was given; the message says what to do instead.
    """
    if modules is not None:
        raise InputError(
            "modules cannot be used: a model is read from its files. Write them with sentence-transformers' "
            "save_pretrained, and name the folder"
        )
    if trust_remote_code:
        raise InputError(f"trust_remote_code cannot be True: {_ADVICE['trust_remote_code']}")
    if keep_in_fp32_modules:
        raise InputError("keep_in_fp32_modules cannot be used; a classifier is always computed in float32")
    if backend not in {"torch", "onnx", "openvino"}:
        raise InputError(f"backend must be torch, onnx or openvino; it is {backend!r:.40}")
