"""What every side of the comparison of engines shares: it answers requests, one JSON object a line.

Requests come on standard input, answers go to standard output, in turn; the process ends with its input.

    {"load": FOLDER, "setting": {...}, "threads": 2, "memory": BYTES}
        -> {"seconds": ..., "memory": ..., "versions": {...}, "scale": "logit"}
    {"score": FILE, "list": 0, "first": null, "batch": null}
        -> {"seconds": ..., "scores": [...], "memory": ..., "processors": ...}

FILE is JSON: ``passages``, and ``lists`` of a query with the positions of its passages. What fails is
answered with ``error``. Memory is the process's peak so far in MB, processors how many were busy on average.
Between two requests a process waits for its input and does nothing.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

# Query, passages, batch size (None: the library's own) to one score a passage, in the passages' order.
Score = Callable[[str, list[str], int | None], Sequence[float]]
# Folder, setting, threads to what scores.
Load = Callable[[str, dict[str, Any], int], Score]


@dataclass(frozen=True)
class Peer:
    """A library as the benchmark knows it.

    Attributes:
        load: Imports the library and loads a model.
        packages: Whose versions count.
        scale: What its scores are: ``logit``, or ``probability`` where a sigmoid cannot be switched off.
    """

    load: Load
    packages: tuple[str, ...]
    scale: str = "logit"


def answer_requests(peer: Peer) -> None:
    """Answer until the input ends."""
    answers = _private_output()
    score: Score | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "load" in request:
                score, answer = _load(peer, request)
            else:
                assert score is not None, "a model is loaded first"
                answer = _score(score, request)
        except Exception as error:  # whatever a library raises is a line of the table
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def in_sorted_batches(
    score: Callable[[list[str]], Sequence[float]], passages: list[str], size: int
) -> list[float]:
    """What a careful caller does for a library that does not sort: passages of like length together."""
    order = sorted(range(len(passages)), key=lambda position: -len(passages[position]))
    scores = [0.0] * len(passages)
    for start in range(0, len(order), size):
        positions = order[start : start + size]
        for position, value in zip(positions, score([passages[i] for i in positions]), strict=True):
            scores[position] = value
    return scores


def _private_output() -> TextIO:
    """Standard output for answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _load(peer: Peer, request: dict[str, Any]) -> tuple[Score, dict[str, Any]]:
    # One side that asks for more than there is must not take the others with it.
    resource.setrlimit(resource.RLIMIT_DATA, (request["memory"], request["memory"]))
    started = time.perf_counter()
    score = peer.load(request["load"], request["setting"], request["threads"])
    seconds = time.perf_counter() - started
    versions = {package: version(package) for package in peer.packages}
    return score, {"seconds": seconds, "memory": _peak(), "versions": versions, "scale": peer.scale}


def _score(score: Score, request: dict[str, Any]) -> dict[str, Any]:
    content = _read(request["score"])
    query, positions = content["lists"][request["list"]]
    passages = [content["passages"][position] for position in positions][: request["first"]]
    busy, started = time.process_time(), time.perf_counter()
    scores = score(query, passages, request["batch"])
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "scores": [float(value) for value in scores],
        "memory": _peak(),
        "processors": (time.process_time() - busy) / seconds,
    }


@lru_cache(maxsize=1)
def _read(file: str) -> Any:
    return json.loads(Path(file).read_text(encoding="utf-8"))


def _peak() -> float:
    """Peak memory in MB. What getrusage knows can, on Linux, be the peak of the process that started us."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
