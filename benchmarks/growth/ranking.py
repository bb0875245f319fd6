"""Reranking generated passages in a process of its own.

    python -m benchmarks.growth.ranking CANDIDATES WORDS THREADS

Prints one JSON object: the seconds of a ranking by the clock and of all processors together (medians of five,
after one to warm up), and the peak memory.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np

import crossrank
from crossrank import CrossEncoder, Reranker

RANKINGS = 5


def main() -> None:
    """Rank."""
    candidates, words, threads = map(int, sys.argv[1:])
    reranker = Reranker(CrossEncoder(threads=threads))
    known = " ".join(
        file.read_text(encoding="utf-8")
        for file in sorted((Path(crossrank.__file__).parent / "samples" / "texts").glob("*.txt"))
    ).split()
    chance = np.random.default_rng(4)
    seconds, processor_seconds = [], []
    for number in range(RANKINGS + 1):
        starts = chance.integers(0, len(known) - words, candidates)
        passages = [" ".join([str(number), *known[start : start + words]]) for start in starts]
        started, processor_started = time.perf_counter(), time.process_time()
        reranker.rank("What do bees see that people do not?", passages, on_truncation="ignore")
        seconds.append(time.perf_counter() - started)
        processor_seconds.append(time.process_time() - processor_started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"processor_seconds": processor_seconds, "seconds": seconds}
    medians = {name: round(statistics.median(values[1:]), 4) for name, values in found.items()}
    print(json.dumps(medians | {"peak_mib": round(peak)}))


if __name__ == "__main__":
    main()
