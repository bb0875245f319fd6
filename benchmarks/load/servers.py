"""The servers that are compared, each a process on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SECONDS_TO_START = 120
# Nothing is to be looked up or reported.
_VARIABLES = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}


@dataclass(frozen=True)
class Server:
    """A server with its settings.

    Attributes:
        name: How the table calls it.
        command: What starts it, with ``{port}``.
        path: Where it reranks.
    """

    name: str
    command: list[str]
    path: str = "/rerank"


def crossrank(model: str, name: str = "crossrank serve") -> Server:
    """``crossrank serve`` with its defaults."""
    return Server(name, [sys.executable, "-m", "crossrank", "serve", model, "--port", "{port}"])


def infinity(python: str, folder: Path, name: str, *options: str) -> Server:
    """infinity's server.

    Args:
        python: The Python of its environment.
        folder: The model.
        name: How the table calls it.
        options: Of ``infinity_emb v2``.
    """
    start = "import infinity_emb.cli; infinity_emb.cli.cli()"
    command = [
        python,
        "-c",
        start,
        "v2",
        "--no-model-warmup",
        "--model-id",
        str(folder),
        "--served-model-name",
        "model",
    ]
    return Server(name, [*command, "--port", "{port}", "--host", "127.0.0.1", "--device", "cpu", *options])


@contextmanager
def running(server: Server) -> Iterator[str]:
    """Start a server; the block has the address at which it reranks.

    Raises:
        SystemExit: It does not start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with tempfile.TemporaryFile("w+") as log:
        command = [part.replace("{port}", port) for part in server.command]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **_VARIABLES})
        try:
            url = f"http://127.0.0.1:{port}{server.path}"
            end = time.monotonic() + _SECONDS_TO_START
            while not _answers(url):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    sys.exit(f"{server.name} does not answer:\n{log.read()[-2000:]}")
                time.sleep(0.2)
            yield url
        finally:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    body = json.dumps({"query": "q", "documents": ["a"], "model": "model"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bool(answer.status == 200)
    except (urllib.error.HTTPError, OSError):
        return False
