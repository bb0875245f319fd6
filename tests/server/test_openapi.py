"""Whatever its own description allows, and much that it does not, is never an error of the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Served, serving

from crossrank import Index
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

pytestmark = pytest.mark.clients
SEED = "24"


@pytest.fixture
def served(tmp_path: Path, tiny: CrossEncoder, tiny_embedder: BiEncoder) -> Iterator[Served]:
    """With a model and an index, so that every path can answer."""
    (tmp_path / "bread.md").write_text("# Bread\n\nBakers get up at three.\n")
    Index(tmp_path / "index", embedder=tiny_embedder).add([tmp_path / "bread.md"])
    with serving(tiny.name, "--index", str(tmp_path / "index")) as running:
        yield running


@pytest.mark.timeout(600)
def test_schemathesis_finds_no_error_of_the_server(served: Served, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/openapi.json",
        "--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--max-examples", "5",
        "--seed", SEED, "--generation-database", "none", "--suppress-health-check", "all", "--no-color",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "0 selected" not in found.stdout
    assert not any("a request failed" in line for line in served.lines)
    assert served.ping() == 200
