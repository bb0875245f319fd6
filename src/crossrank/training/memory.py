"""Memory management for training on the CPU: keep freed memory for the next step, and trim it at times.

Does nothing on systems other than Linux with glibc.

Source:
    mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import ctypes
from functools import cache

# The names of malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Let malloc keep freed memory: every step needs the same gigabyte, and new page faults are slow."""
    if library := _glibc():
        for option, value in ((_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**28), (_MMAP_MAX, 0)):
            library.mallopt(option, value)


def trim() -> None:
    """Return freed pages to the system, including those between blocks in use."""
    if library := _glibc():
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
