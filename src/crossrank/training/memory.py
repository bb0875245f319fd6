"""What a training on the processor frees: kept for the next step, and given back now and then.

Elsewhere than on Linux with glibc nothing is done.

Source:
    mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import ctypes
from functools import cache

# The names of malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Have freed memory kept: every step takes the same gigabyte, and fetching pages again takes long."""
    if library := _glibc():
        for option, value in ((_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**28), (_MMAP_MAX, 0)):
            library.mallopt(option, value)


def trim() -> None:
    """Return freed pages to the system, also those between blocks that are held."""
    if library := _glibc():
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
