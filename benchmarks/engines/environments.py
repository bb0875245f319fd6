"""An environment for each peer, made once under .venv-bench."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "benchmarks" / "peers" / "engines"
# optimum-intel requires torchvision, but needs it only for images. PyPI's is built for torch with CUDA;
# together with torch for the CPU, transformers cannot be imported.
_UNWANTED = {"sentence-transformers-openvino": "torchvision"}
# No peer needs the network: models come from folders. CI keeps OpenVINO's reports at home.
VARIABLES = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "CI": "true"}


class PeerError(Exception):
    """A peer cannot be installed or run; the message is the reason, for the table."""


def interpreter(environment: str) -> str:
    """The Python of an environment, which is made if it is not there or its requirements have changed.

    Raises:
        PeerError: The packages cannot be installed.
    """
    if not environment:
        return sys.executable
    folder = ROOT / ".venv-bench" / environment
    requirements = (PEERS / "requirements" / f"{environment}.txt").read_text(encoding="utf-8")
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    if not installed.is_file() or installed.read_text(encoding="utf-8") != requirements:
        print(f"Installing {environment} ...", file=sys.stderr, flush=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        run([sys.executable, "-m", "venv", str(folder)])
        run([*pip, "install", "--no-compile", "-r", str(PEERS / "requirements" / f"{environment}.txt")])
        if environment in _UNWANTED:
            run([*pip, "uninstall", "--yes", _UNWANTED[environment]])
        installed.write_text(requirements, encoding="utf-8")
    return str(python)


def run(command: list[str], *, variables: dict[str, str] | None = None) -> None:
    """Run to the end.

    Raises:
        PeerError: It failed; the reason is the last line that it wrote.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(variables or {})}
    )
    if done.returncode:
        raise PeerError(last_line(done.stderr) or f"ended with {done.returncode}")


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
