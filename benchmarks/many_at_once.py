"""Concurrency: eight threads on one model compared with one, and the memory of a long run.

    python benchmarks/many_at_once.py [--pairs 100000] [--rounds 5]

Pairs are made of the sample texts' words, of random lengths up to about 200 tokens, by a fixed seed. First
eight calls of 100 pairs each, by one thread one after the other and by eight at once; the scores must be
equal. Then all pairs in shuffled order and sorted by length, each in a process of its own; the scores must be
equal, and the process's memory is read after every 5,000 pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import crossrank
from crossrank import CrossEncoder

TEXTS = Path(crossrank.__file__).parent / "samples" / "texts"
THREADS, SHARED_PAIRS, PORTION = 8, 800, 5000
Pair = tuple[str, str]


def make_pairs(number: int) -> list[Pair]:
    """Pairs of random lengths, the same at every call."""
    chosen = random.Random(7)
    words = " ".join(file.read_text(encoding="utf-8") for file in sorted(TEXTS.glob("*.txt"))).split()
    pairs = []
    for _ in range(number):
        start, length = chosen.randrange(len(words) - 150), chosen.randint(1, 150)
        query = chosen.randrange(len(words) - 12)
        pairs.append((" ".join(words[query : query + 8]), " ".join(words[start : start + length])))
    return pairs


def threads_beside_one(rounds: int) -> None:
    """Throughput of one thread and of eight on one model."""
    model, pairs = CrossEncoder(), make_pairs(SHARED_PAIRS)
    parts = [pairs[at::THREADS] for at in range(THREADS)]
    seconds: dict[str, list[float]] = {"one": [], "eight": []}
    with ThreadPoolExecutor(THREADS) as pool:
        for round_number in range(rounds + 1):
            started = time.perf_counter()
            alone = [model.predict(part) for part in parts]
            between = time.perf_counter()
            together = list(pool.map(model.predict, parts))
            ended = time.perf_counter()
            if not np.array_equal(together, alone):
                sys.exit("threads changed scores")
            if round_number:  # the first meets new shapes
                seconds["one"].append(between - started)
                seconds["eight"].append(ended - between)
    ratios = [one / eight for one, eight in zip(seconds["one"], seconds["eight"], strict=True)]
    print(f"| threads on one model, {SHARED_PAIRS} pairs | pairs/s, median of {rounds} |\n|---|---|")
    for name, values in seconds.items():
        print(f"| {name} | {SHARED_PAIRS / statistics.median(values):.0f} |")
    print(
        f"\nEight compared with one: {statistics.median(ratios):.2f} times the throughput "
        f"({min(ratios):.2f} to {max(ratios):.2f}); equal scores.\n"
    )


def score_in_order(order: str, number: int, output: Path) -> None:
    """Score all pairs in one order and write scores, speed and memory; runs in a process of its own."""
    pairs = make_pairs(number)
    places = list(range(number))
    if order == "sorted":
        places.sort(key=lambda place: len(pairs[place][0]) + len(pairs[place][1]))
    model, scores = CrossEncoder(), np.empty(number, np.float32)
    memory, started = [resident_memory()], time.perf_counter()
    for start in range(0, number, PORTION):
        part = places[start : start + PORTION]
        scores[part] = model.predict([pairs[place] for place in part], activation_fn="none")
        memory.append(resident_memory())
        print(f"\r{order}: {start + len(part):,} of {number:,} pairs", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    speed = number / (time.perf_counter() - started)
    np.savez(output, scores=scores, memory=np.array(memory), speed=speed)


def resident_memory() -> float:
    """MB of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def long_run(number: int) -> None:
    """Both orders, compared."""
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        for order in ("shuffled", "sorted"):
            output = Path(temporary, f"{order}.npz")
            command = [sys.executable, __file__, "--pairs", str(number), "--order", order]
            subprocess.run([*command, "--output", str(output)], check=True)
            with np.load(output) as saved:
                results[order] = {name: saved[name] for name in saved}
    if not np.array_equal(results["shuffled"]["scores"], results["sorted"]["scores"]):
        sys.exit("the order changed scores")
    print(
        f"| {number:,} pairs | pairs/s | MB at start | after a quarter | at the end |\n|---|---|---|---|---|"
    )
    for order, result in results.items():
        memory = result["memory"]
        quarter = memory[len(memory) // 4]
        print(f"| {order} | {result['speed']:.0f} | {memory[0]:.0f} | {quarter:.0f} | {memory[-1]:.0f} |")
    growth = {
        order: (r["memory"][-1] / r["memory"][len(r["memory"]) // 4] - 1) for order, r in results.items()
    }
    print("\nEqual scores in both orders. Growth after the first quarter: ", end="")
    print(json.dumps({order: f"{value:+.1%}" for order, value in growth.items()}))


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--order", choices=["shuffled", "sorted"], help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.order:
        score_in_order(arguments.order, arguments.pairs, arguments.output)
        return
    threads_beside_one(arguments.rounds)
    long_run(arguments.pairs)


if __name__ == "__main__":
    main()
