from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.tiny_models import write_embedder, write_reranker

from crossrank.families.model import open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.training.base_model import write_float_folder

# Read when Haystack is imported, which examples in docstrings do.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

# What was timed on this machine is shared by all workers and kept from run to run.
os.environ.setdefault("CROSSRANK_CACHE", str(Path(__file__).parents[1] / ".cache"))

# Ray's workers stand back behind everything else by default, and tests would wait for them.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

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
def tiny_folder(tiny: CrossEncoder) -> str:
    """The folder of that reranker."""
    return str(tiny.path)


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> BiEncoder:
    """An embedder in float32 with random weights."""
    return BiEncoder(write_embedder(tmp_path_factory.mktemp("tiny") / "embedder"))


@pytest.fixture(scope="session")
def float_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bundled reranker with its weights in float32."""
    folder = tmp_path_factory.mktemp("float") / "reranker"
    write_float_folder(open_model(DEFAULT_CROSS_ENCODER), folder)
    return folder


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder on a disk of 1.2 MB; ``mount -o remount,size=`` makes it larger."""
    # Not in pytest's own folder: a run that is killed leaves the disk mounted, and the next run of pytest
    # would fail when it cannot remove it.
    folder = Path(tempfile.mkdtemp(prefix="crossrank-small-disk-"))
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        folder.rmdir()
        pytest.skip("a small disk can be mounted by root alone, and not in every container")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch is not installed, also where it is."""
    for name in ("torch", "transformers", "crossrank.inference.engines.pytorch"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright; only in the environment of `make test-page`."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "install Debian's package chromium"
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium)
        yield running
        running.close()
