from __future__ import annotations

import os
import signal
import sys

import pytest
from hypothesis import settings
from support.tiny_models import write_embedder, write_reranker

from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

# Read when Haystack is imported, which examples in docstrings do.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

# A shell that runs the suite in the background has it, and all that it starts, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes single examples slow, which is no error.
settings.register_profile("crossrank", deadline=None)
settings.load_profile("crossrank")


@pytest.fixture(scope="session")
def bundled() -> CrossEncoder:
    return CrossEncoder()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    """A reranker in float32 with random weights."""
    return CrossEncoder(write_reranker(tmp_path_factory.mktemp("tiny") / "reranker"))


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> BiEncoder:
    """An embedder in float32 with random weights."""
    return BiEncoder(write_embedder(tmp_path_factory.mktemp("tiny") / "embedder"))


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch is not installed, also where it is."""
    for name in ("torch", "transformers", "crossrank.inference.engines.pytorch"):
        monkeypatch.setitem(sys.modules, name, None)
