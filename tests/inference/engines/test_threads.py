from __future__ import annotations

import os
from pathlib import Path

import pytest

from crossrank.inference.engines.threads import available_threads

PROCESSORS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("150000 100000", min(2, PROCESSORS)),
        ("6400000 100000", PROCESSORS),
        ("max 100000", PROCESSORS),
        ("nonsense", PROCESSORS),
    ],
)
def test_quota_of_control_groups_2_limits_threads(limit: str, expected: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert available_threads(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [(100_000, 1), (-1, PROCESSORS), (10, 1)])
def test_quota_of_control_groups_1_limits_threads(quota: int, expected: int, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert available_threads(tmp_path) == expected


def test_affinity_limits_threads_where_there_is_no_quota(tmp_path: Path) -> None:
    assert available_threads(tmp_path) == PROCESSORS
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_threads(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, allowed)
