"""The command line, run as a person or a script runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def crossrank(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run ``crossrank`` in a process of its own."""
    command = [sys.executable, "-m", "crossrank", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def one_line(process: subprocess.CompletedProcess[str]) -> str:
    """The only line on standard error."""
    assert "Traceback" not in process.stderr
    lines = process.stderr.splitlines()
    assert len(lines) == 1, process.stderr
    return lines[0]
