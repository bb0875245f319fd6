"""The container's steps without a container: its commands, in order, in a clean virtual environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from support.front import call
from support.serving import serving
from support.tiny_models import PAIRS, write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.sagemaker.packaging import package_model

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "containers" / "sagemaker" / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def copy_context(folder: Path) -> None:
    """What .dockerignore leaves of the repository."""
    folder.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = ROOT / line[1:], folder / line[1:]
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, target)


def test_the_server_is_the_process_that_gets_the_signals() -> None:
    assert [json.loads(line) for line in instructions("ENTRYPOINT")] == [["crossrank"]]
    assert [json.loads(line) for line in instructions("CMD")] == [["serve"]]


@pytest.mark.sagemaker
@pytest.mark.timeout(600)
def test_the_steps_give_a_container_that_serves_a_packaged_model(tmp_path: Path) -> None:
    copy_context(tmp_path / "build")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    path = f"{tmp_path / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    steps = instructions("RUN")
    assert len(steps) == 2
    for step in steps:
        here = step.replace("/build", str(tmp_path / "build")).replace("/wheels", str(tmp_path / "wheels"))
        done = subprocess.run(
            here,
            shell=True,
            env={**os.environ, "PATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    made = package_model(write_reranker(tmp_path / "reranker"), tmp_path / "model.tar.gz")
    with tarfile.open(made.path) as archive:
        archive.extractall(tmp_path / "ml" / "model", filter="data")
    [entry], [usual] = (json.loads(instructions(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    command = [str(tmp_path / "env" / "bin" / entry), usual]
    environment = {
        "SAGEMAKER_BASE_DIR": str(tmp_path / "ml"),
        "SAGEMAKER_BIND_TO_PORT": "0",
        "PYTHONPATH": "",
    }
    with serving(command=command, environment=environment) as container:
        assert any("http://0.0.0.0:" in line for line in container.lines)
        assert container.ping() == 200
        status, answer, _ = call(
            f"{container.url}/invocations",
            json.dumps({"pairs": PAIRS}).encode(),
            {"Content-Type": "application/json"},
        )
        assert status == 200
        assert container.stop() == 0
    local = CrossEncoder(tmp_path / "reranker").logits(PAIRS)[0]
    np.testing.assert_allclose(json.loads(answer)["scores"], local, rtol=0, atol=1e-5)
