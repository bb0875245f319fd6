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
DOCKERFILES = {
    name: (ROOT / "containers" / name / "Dockerfile").read_text() for name in ("sagemaker", "server")
}


def instructions(name: str, container: str = "sagemaker") -> list[str]:
    text = DOCKERFILES[container].replace("\\\n", " ")
    return re.findall(rf"^{name} (.+)$", text, re.MULTILINE)


def copy_context(folder: Path) -> None:
    """What .dockerignore leaves of the repository."""
    folder.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = ROOT / line[1:], folder / line[1:]
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, target)


@pytest.mark.parametrize("container", DOCKERFILES)
def test_the_server_is_the_process_that_gets_the_signals(container: str) -> None:
    assert [json.loads(line) for line in instructions("ENTRYPOINT", container)] == [["crossrank"]]
    assert [json.loads(line) for line in instructions("CMD", container)] == [["serve"]]


@pytest.mark.parametrize("container", DOCKERFILES)
def test_what_is_copied_exists_and_what_is_run_is_our_command_line(container: str) -> None:
    for copied in instructions("COPY", container):
        *sources, _ = copied.split()
        if not sources[0].startswith("--from="):
            assert all((ROOT / source).exists() for source in sources)
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert kept
    assert all((ROOT / path).exists() for path in kept)
    stages = [line.rpartition(" AS ")[2] for line in instructions("FROM", container) if " AS " in line]
    assert all(stage in stages for stage in re.findall(r"--from=(\S+)", DOCKERFILES[container]))
    [entry], [usual] = (json.loads(instructions(name, container)[0]) for name in ("ENTRYPOINT", "CMD"))
    variables = {
        name: value
        for line in instructions("ENV", container)
        for name, value in (one.split("=", 1) for one in line.split())
        if name.startswith("CROSSRANK_")
    }
    # The settings that the container starts with, read by the command that it runs.
    process = subprocess.run(
        [sys.executable, "-m", entry, usual, "--show-settings"],
        env={**os.environ, "CROSSRANK_API_KEY": "correct-horse", **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    settings = json.loads(process.stdout)
    assert settings["port"] == 8080
    if "CROSSRANK_HOST" in variables:
        assert settings["host"] == variables["CROSSRANK_HOST"]


def test_both_containers_are_built_by_the_same_steps() -> None:
    assert instructions("RUN", "server") == instructions("RUN")


def test_the_servers_container_is_an_ordinary_user_whose_health_is_checked(tmp_path: Path) -> None:
    [user] = instructions("USER", "server")
    assert all(int(number) > 0 for number in user.split(":"))
    [variables] = instructions("ENV", "server")
    environment = dict(one.split("=", 1) for one in variables.split())
    assert environment.pop("CROSSRANK_HOST") == "0.0.0.0"
    [check] = instructions("HEALTHCHECK", "server")
    _, code, *rest = json.loads(check.partition("CMD")[2])
    # A home that cannot be written to, as in a container whose file system is read-only.
    environment = {name: value.replace("/tmp", str(tmp_path)) for name, value in environment.items()}
    with serving(environment={**environment, "HOME": "/dev/null"}) as served:
        port = served.url.rpartition(":")[2]
        for checked, expected in ((port, 0), ("1", 1)):
            process = subprocess.run(
                [sys.executable, code, *rest], env={**os.environ, "CROSSRANK_PORT": checked},
                capture_output=True, check=False,
            )  # fmt: skip
            assert process.returncode == expected, process.stderr


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
