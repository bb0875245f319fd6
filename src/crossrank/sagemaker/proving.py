"""Proof that an unpacked archive serves: its own handlers, one request, the scores of its model."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np

from crossrank.errors import ModelError
from crossrank.inference.agreement import PROBES
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.server.model_source import MODEL_NAME_VARIABLE
from crossrank.server.wire.sagemaker import JSON

_PAIRS = [(query, text) for query, texts in PROBES for text in texts]
# The same weights on the same machine give the same logits; more than this is another model.
_TOLERANCE = 1e-5


def prove(unpacked: Path, source: Path) -> None:
    """Serve one request from an unpacked archive.

    Args:
        unpacked: The archive's contents.
        source: The folder of the model that it was made of.

    Raises:
        ModelError: The archive does not load or answer, or scores otherwise.
    """
    expected, _ = CrossEncoder(source).logits(_PAIRS)
    # A name in the environment must not stand in for weights that the archive lacks.
    named = os.environ.pop(MODEL_NAME_VARIABLE, None)
    try:
        handlers = _handlers(unpacked / "code" / "inference.py")
        model = handlers.model_fn(str(unpacked))
        answer, _ = handlers.transform_fn(model, json.dumps({"pairs": _PAIRS}), JSON, JSON)
    except ModelError as error:
        raise ModelError(f"the archive does not serve: {error}") from error
    finally:
        if named is not None:
            os.environ[MODEL_NAME_VARIABLE] = named
    given = np.array(json.loads(answer)["scores"], np.float32)
    difference = float(np.abs(given - expected).max())
    if not difference <= _TOLERANCE:
        raise ModelError(f"the archive scores otherwise than {source}: logits differ by {difference:.6f}")


def _handlers(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("_crossrank_archive_inference", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
