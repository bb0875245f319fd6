"""The number of threads that this process can use."""

from __future__ import annotations

import math
import os
from pathlib import Path


def available_threads(cgroup_root: Path = Path("/sys/fs/cgroup")) -> int:
    """The number of processors available to this process, by its affinity mask and the container's CPU quota.

    By default, engines start one thread per core of the host. In a container with a smaller quota, these
    threads would wait for each other.

    Args:
        cgroup_root: The mount point of control groups (version 1 or 2).

    Example:
        >>> available_threads() >= 1
        True
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = _quota(cgroup_root)
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def _quota(root: Path) -> float | None:
    """The container's CPU quota, in CPUs; None without a limit."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit_v1 = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_v1 = int((root / "cpu" / "cpu.cfs_period_us").read_text())
        return limit_v1 / period_v1 if limit_v1 > 0 and period_v1 > 0 else None
    except (OSError, ValueError):
        return None
