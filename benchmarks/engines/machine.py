"""What a reader has to know of the machine, and nothing by which it could be found."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from crossrank.inference.engines.threads import available_threads

_TELLING = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "avx_vnni",
    "amx_int8",
    "amx_bf16",
)


def describe_machine() -> dict[str, Any]:
    """Processors, what they can multiply, and Python."""
    flags = processor_flags()
    return {
        "system": f"{platform.system()}, {platform.machine()}",
        "processors": available_threads(),
        "flags": [flag for flag in _TELLING if flag in flags],
        "python": platform.python_version(),
    }


def processor_flags() -> frozenset[str]:
    """What Linux says that the processor can do; nothing elsewhere."""
    file = Path("/proc/cpuinfo")
    if not file.is_file():
        return frozenset()
    line = next((line for line in file.read_text().splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def memory_limit() -> int:
    """Bytes that one side may use: a third of what the machine has, for the others are in memory as well."""

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 3
