"""What a reader has to know of the machine, and nothing by which it could be found."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
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
        "maker": _maker(),
        "flags": [flag for flag in _TELLING if flag in flags],
        "python": platform.python_version(),
    }


def kind_of(machine: Mapping[str, Any]) -> tuple[str, str]:
    """Processors that are fast at the same things: a short name for files, and one for people."""
    flags, maker = set(machine["flags"]), machine["maker"]
    if "amx_bf16" in flags:
        return "amx", f"{maker} with AMX"
    for flag, name in (("avx512_vnni", "AVX-512 VNNI"), ("avx512f", "AVX-512"), ("avx2", "AVX2")):
        if flag in flags:
            # AMD's Zen 4 has BF16 and no AVX-VNNI, and its Zen 5 has both: they are fast at different things.
            bfloat16 = " and BF16" if "avx512_bf16" in flags else ""
            short, said = f"{maker.lower()}-{flag.replace('_', '-')}", f"{maker} with {name}{bfloat16}"
            if "avx_vnni" in flags:
                return f"{short}-avx-vnni", f"{said}, and AVX-VNNI, without AMX"
            return short, f"{said}, without AMX"
    return "other", machine["system"]


def _maker() -> str:
    """Who made the processor, as the tables name it."""
    file = Path("/proc/cpuinfo")
    content = file.read_text() if file.is_file() else ""
    known = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}
    return next((name for vendor, name in known.items() if vendor in content), "other")


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
