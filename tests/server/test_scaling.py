"""The replicas that what waits needs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from crossrank.server.scaling import METRIC, replicas_for_queue, replicas_needed


def _wanted(*queued: float, now: int, least: int = 1, most: int = 8) -> int:
    context = SimpleNamespace(
        aggregated_metrics={METRIC: dict(enumerate(queued))} if queued else {},
        target_num_replicas=now,
        capacity_adjusted_min_replicas=least,
        capacity_adjusted_max_replicas=most,
    )
    wanted, kept = replicas_for_queue(context)
    assert kept == {}
    return wanted


@pytest.mark.parametrize(
    ("queued", "now", "wanted"),
    [
        ((1.0,), 1, 1),
        ((1.1,), 1, 2),
        ((4.5, 0.5), 2, 5),
        # A replica that was just started has not reported.
        ((3.0,), 2, 3),
        ((0.2, 0.5, 0.2), 3, 1),
    ],
)
def test_there_are_as_many_replicas_as_all_need_together(
    queued: tuple[float, ...], now: int, wanted: int
) -> None:
    assert _wanted(*queued, now=now) == wanted


@pytest.mark.parametrize(
    ("seconds", "requests", "needed"),
    [(2.0, 1, 1.0), (9.0, 6, 4.5), (0.0, 0, 0.0), (0.4, 256, 1.0), (0.4, 512, 2.0)],
)
def test_what_waits_is_scored_in_two_seconds_and_before_a_queue_is_full(
    seconds: float, requests: int, needed: float
) -> None:
    assert replicas_needed(seconds, requests, 512) == needed


def test_the_number_stays_in_its_bounds() -> None:
    assert _wanted(100.0, now=1, most=4) == 4
    assert _wanted(0.0, 0.0, 0.0, now=3, least=2) == 2


def test_before_a_replica_reports_nothing_changes() -> None:
    assert _wanted(now=3) == 3
    context = SimpleNamespace(aggregated_metrics=None, target_num_replicas=2)
    assert replicas_for_queue(context) == (2, {})
