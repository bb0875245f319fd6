"""``crossrank serve`` as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.front import call


@dataclass
class Served:
    """A running server.

    Attributes:
        url: Its address.
        process: The process.
        lines: What it has written to standard error so far.
    """

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)

    def ping(self) -> int:
        """The status of GET /ping."""
        return call(f"{self.url}/ping", seconds=20)[0]

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """The first line of standard error that holds ``text``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := [line for line in self.lines if text in line]:
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"{text!r} is not in {self.lines}")

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def serving(
    *arguments: str,
    command: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    until: str = "is loaded",
) -> Iterator[Served]:
    """Serve until the block ends; begins when standard error says ``until``.

    Args:
        arguments: For ``crossrank serve``, which gets a free port.
        command: What to run instead.
        environment: Variables over those of this process.
        until: What to wait for.
    """
    command = command or [sys.executable, "-m", "crossrank", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    served = Served(process)

    def read() -> None:
        assert process.stderr is not None
        served.lines.extend(line.rstrip("\n") for line in process.stderr)

    # extend() takes lines one by one, so that they can be read while it runs.
    reader = threading.Thread(target=read)
    reader.start()
    try:
        line = served.wait_for("listening on")
        address = re.search(r"http://\S+", line)
        assert address is not None
        served.url = address[0].replace("0.0.0.0", "127.0.0.1")
        served.wait_for(until)
        yield served
    finally:
        process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()
