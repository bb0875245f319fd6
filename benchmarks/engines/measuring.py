"""Time: the sides in turn, so that a change of the machine meets all of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engines.cases import Case
from benchmarks.engines.environments import PeerError
from benchmarks.engines.process import PeerProcess
from benchmarks.engines.sides import BATCHES, Side

# The number of passages for choosing the batch size and estimating the time of a call.
_SAMPLE = 32
# There are thirty questions.
_MOST_ROUNDS = 25
# Threads may spin for some milliseconds after a call; they are not to meet the next side's.
_PAUSE = 0.05


def measure_case(
    case: Case, file: Path, sides: Sequence[Side], processes: Mapping[str, PeerProcess]
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Measure every side on one case.

    A round is one call of each side with one question; the next round has the next question, and another side
    begins. As many rounds are made as fit into the case's time, at least one. One more goes first that is not
    counted: engines prepare themselves for lengths that they meet for the first time.

    Args:
        case: The case.
        file: Its passages and questions.
        sides: Who takes part.
        processes: Their processes, with the model loaded.

    Returns:
        The figures, and each side's scores for the first question.
    """
    figures: dict[str, dict[str, Any]] = {}
    expected: dict[str, float] = {}
    for side in sides:
        try:
            batch, seconds = _prepare(case, file, side, processes[side.name])
        except PeerError as error:
            figures[side.name] = {"failed": str(error)}
            continue
        figures[side.name] = {"batch": batch, "seconds": []}
        expected[side.name] = seconds
    rounds = count_rounds(sum(expected.values()), case.seconds)
    scores: dict[str, list[float]] = {}
    for number in range(-1, rounds):
        print(f"{case.name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name in in_turn(list(expected), number):
            if "failed" in figures[name]:
                continue
            time.sleep(_PAUSE)
            try:
                answer = processes[name].ask(
                    score=str(file), list=number + 1, first=None, batch=figures[name]["batch"]
                )
            except PeerError as error:
                figures[name] = {"failed": str(error)}
                continue
            if number >= 0:
                figures[name]["seconds"].append(round(answer["seconds"], 5))
                figures[name]["processors"] = round(answer["processors"], 2)
            figures[name]["memory"] = round(answer["memory"])
            scores.setdefault(name, answer["scores"])
    return {"rounds": rounds, "sides": {side.name: figures[side.name] for side in sides}}, scores


def count_rounds(expected: float, seconds: float) -> int:
    """How many rounds of ``expected`` seconds fit into ``seconds``.

    Example:
        >>> count_rounds(10, 45), count_rounds(100, 45)
        (4, 1)
    """
    return min(max(int(seconds / expected) if expected else 1, 1), _MOST_ROUNDS)


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """The same order in every round, but each time another one begins.

    Example:
        >>> in_turn(["a", "b", "c"], 1)
        ['b', 'c', 'a']
    """
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def _prepare(case: Case, file: Path, side: Side, process: PeerProcess) -> tuple[int | None, float]:
    """Make a side warm; return its batch size, and about how many seconds a call will take."""
    sample = min(case.count, _SAMPLE)

    def seconds(batch: int | None) -> float:
        answer = process.ask(score=str(file), list=0, first=sample, batch=batch)
        return float(answer["seconds"]) * case.count / sample

    if not side.chooses_batch:
        seconds(None)
        return None, seconds(None)
    seconds(BATCHES[0])
    times = {batch: seconds(batch) for batch in BATCHES if batch <= case.count}
    best = min(times, key=lambda batch: times[batch])
    return best, times[best]
