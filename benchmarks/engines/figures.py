"""From measured seconds to what the tables say: ratios with their spread, percentiles, the best peer."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.engines.sides import SIDES


def seconds_of(case: Mapping[str, Any], name: str) -> list[float] | None:
    """A side's seconds, one a round; None where it took no part or failed."""
    seconds: list[float] | None = case["sides"].get(name, {}).get("seconds")
    return seconds or None


def ratios(base: Sequence[float], seconds: Sequence[float]) -> list[float]:
    """How many times as fast as the base a side was, round by round.

    Example:
        >>> ratios([2.0, 3.0], [1.0, 2.0])
        [2.0, 1.5]
    """
    return [one / other for one, other in zip(base, seconds, strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    """Median, and least to most.

    Example:
        >>> spread([1.0, 2.0, 4.0], ".1f")
        '2.0 (1.0 to 4.0)'
    """
    if len(values) == 1:
        return format(values[0], form)
    low, middle, high = (format(f(values), form) for f in (min, statistics.median, max))
    return f"{middle} ({low} to {high})"


def percentile(values: Sequence[float], share: float) -> float:
    """Interpolated between the two nearest.

    Example:
        >>> percentile([1.0, 2.0, 3.0], 0.75)
        2.5
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def best_peer(case: Mapping[str, Any]) -> str | None:
    """The fastest side that is not crossrank, by its median; None if there is none."""
    ours = {side.name for side in SIDES if side.is_ours}
    medians = {
        name: statistics.median(seconds)
        for name in case["sides"]
        if name not in ours and (seconds := seconds_of(case, name))
    }
    return min(medians, key=lambda name: medians[name]) if medians else None


def compared(case: Mapping[str, Any], base: str | None, name: str) -> list[float] | None:
    """A side's ratios to another one; None where one of them was not measured."""
    first = seconds_of(case, base) if base else None
    second = seconds_of(case, name)
    return ratios(first, second) if first and second else None
