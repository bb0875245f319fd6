"""An index of generated passages: made, asked, and its vectors made again, each in a process of its own.

    python -m benchmarks.growth.index make|ask|repair FOLDER

Prints one JSON object, with times of the processor. FOLDER has ``passages``, ``embedder`` and, after
``make``, ``index``.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import get_args

from benchmarks.growth.generated import questions

from crossrank import Index
from crossrank.retrieval.base import Retrieval

QUESTIONS, CANDIDATES = 200, 20


def main() -> None:
    """Do one of the three."""
    work, folder = sys.argv[1], Path(sys.argv[2])
    index = Index(folder / "index", embedder=str(folder / "embedder"))
    found = {"make": make, "ask": ask, "repair": repair}[work](index, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found | {f"{work}_peak_mib": round(peak)}))


def make(index: Index, folder: Path) -> dict[str, float]:
    """Add all passages."""
    started = time.process_time()
    report = index.add([folder / "passages"])
    seconds = time.process_time() - started
    return {"passages": report.passages, "make_seconds": round(seconds, 2)}


def ask(index: Index, _: Path) -> dict[str, float]:
    """Ask in each way; the first question loads what the others use."""
    asked = list(questions(QUESTIONS))
    started = time.process_time()
    index.retrieve(asked[0], CANDIDATES)
    found = {"first_question_seconds": round(time.process_time() - started, 3)}
    for retrieval in get_args(Retrieval):
        retriever = index.retriever(retrieval=retrieval)
        seconds = []
        for question in asked:
            started = time.process_time()
            retriever.retrieve(question, CANDIDATES)
            seconds.append(time.process_time() - started)
        found[f"{retrieval}_ms"] = round(1000 * statistics.median(seconds), 2)
        found[f"{retrieval}_p95_ms"] = round(1000 * statistics.quantiles(seconds, n=20)[-1], 2)
    info = index.info()
    return found | {"recall": info.recall or 0.0, "bytes": info.bytes}


def repair(index: Index, folder: Path) -> dict[str, float]:
    """Make the vectors' file again, as after a kill that came before it was written."""
    for file in (folder / "index").glob("vectors-*.faiss"):
        file.unlink()
    started = time.process_time()
    index.add()
    return {"repair_seconds": round(time.process_time() - started, 2)}


if __name__ == "__main__":
    main()
