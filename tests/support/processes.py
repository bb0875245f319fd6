"""Code in a Python process of its own, ended after a while whatever it does."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping


def run_python(
    code: str, *arguments: str, environment: Mapping[str, str] | None = None, seconds: float = 60
) -> str:
    """Run code in a new process and return what it printed.

    Raises:
        AssertionError: It failed; the message is what it wrote to stderr.
        subprocess.TimeoutExpired: It took longer than ``seconds``.
    """
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
