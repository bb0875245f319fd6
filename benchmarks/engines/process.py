"""One side's process, and its requests and answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from typing import Any

from benchmarks.engines.environments import VARIABLES, PeerError, last_line


class PeerProcess:
    """A process that answers one request at a time, as benchmarks/peers/engines/answering.py says.

    Args:
        command: What to run.
    """

    def __init__(self, command: list[str]) -> None:
        # Closed with the process. A pipe that nobody reads would fill up and stop it.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **VARIABLES},
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            PeerError: The library failed, or its process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(self._why_it_ended())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(reason(answer["error"]))
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()

    def _why_it_ended(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        return reason(f"the process ended with {status}: {last_line(self._errors.read())}")


def reason(message: str) -> str:
    """A message as one line of a table that is shown to others: short, and without this machine's paths."""
    line = re.sub(r"(?:/[^\s/'\":,]+)+/", "", " ".join(message.split()))
    return line.replace("|", "/")[:200]
