"""What is freed is kept for the next step, and given back now and then."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from crossrank.training import memory

# Blocks with others between them that are held, as a training's are.
_PROGRAM = """
import os
from pathlib import Path
from crossrank.training import memory

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

memory.keep_freed_memory()
before = resident()
blocks = [bytearray(2**18) for _ in range(800)]
held = blocks[::40]
full = resident()
del blocks
kept = resident()
memory.trim()
print(full - before, kept - before, resident() - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's malloc on Linux only"
)
def test_freed_memory_is_kept_until_it_is_trimmed() -> None:
    found = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    full, kept, trimmed = map(int, found.stdout.split())
    assert full >= 190
    assert kept >= 180
    assert trimmed < 60


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise OSError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    memory._glibc.cache_clear()
    try:
        memory.keep_freed_memory()
        memory.trim()
        assert memory._glibc() is None
    finally:
        memory._glibc.cache_clear()
