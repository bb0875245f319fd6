"""Keyword arguments that LangChain's classes pass to sentence-transformers and PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossrank.errors import InputError

# Keywords without effect here, with the accepted values.
_WITHOUT_EFFECT: Mapping[str, tuple[object, ...]] = {
    "backend": (None, "torch", "onnx", "openvino"),
    "cache_dir": (None,),
    "cache_folder": (None,),
    "convert_to_numpy": (None, True),
    "convert_to_tensor": (None, False),
    "device": (None, "cpu"),
    "local_files_only": (None, False),
    "num_labels": (None, 1),
    "precision": (None, "float32"),
    "revision": (None,),
    "token": (None,),
    "trust_remote_code": (None, False),
}
_ADVICE = {
    "cache_dir": "set HF_HOME",
    "cache_folder": "set HF_HOME",
    "device": "embedders run on the CPU",
    "local_files_only": "set CROSSRANK_OFFLINE=1, or name a local folder",
    "prompt": "the model's own prompts are put before queries and documents",
    "prompt_name": "the model's own prompts are put before queries and documents",
    "prompts": "the model's own prompts are put before queries and documents",
    "revision": "download that revision, and name its folder",
    "token": "set HF_TOKEN",
    "trust_remote_code": "crossrank never runs code that comes with a model",
}


def check_keywords(where: str, given: Mapping[str, Any], *used: str) -> None:
    """Check keyword arguments that would otherwise be silently ignored.

    Args:
        where: The argument that contains the keywords, for the message.
        given: The keywords.
        used: The keywords that have an effect.

    Raises:
        InputError: A keyword is unknown, or its value is not supported.
    """
    for name, value in given.items():
        if name in used or name in {"batch_size", "chunk_size"}:
            continue
        if name in _WITHOUT_EFFECT and any(
            value is known or value == known for known in _WITHOUT_EFFECT[name]
        ):
            continue
        known = ", ".join(sorted({*used, *_WITHOUT_EFFECT}))
        advice = _ADVICE.get(name) or ("leave it out" if name in _WITHOUT_EFFECT else f"known are {known}")
        raise InputError(f"{where}[{name!r}] cannot be {value!r:.60}: {advice}")
