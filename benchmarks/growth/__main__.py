"""How time and memory grow: the table and the plot of docs/planning.md.

    python -m benchmarks.growth [--largest 1000000] [--only passages ...] [--json FILE] [--plot FILE]

- candidates: 10 to 1,000 passages of about 100 tokens, reranked;
- tokens: 100 passages of 16 to 400 words;
- processes: 100 passages in each of 1, 2, 4 processes of one thread at once;
- passages: an index of 1,000 to a million generated passages of 60 words with a static embedder of 384
  dimensions, so that the index is measured and not the embedding: made, asked by words and vectors, and its
  vectors' file made again as after a kill.

Every measurement is a process of its own. Times of an index are those of the processor, which other work on
the machine changes little. A growth of 1.0 means that twice as much takes twice as long: the
slope of a line through the logarithms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.growth.generated import write_embedder, write_passages
from benchmarks.growth.plot import draw

from crossrank.inference.timing import machine_key

WORDS, CANDIDATES = 75, 100
Rows = list[dict[str, Any]]


def main() -> None:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts: dict[str, Callable[[int], Rows]] = {
        "candidates": by_candidates,
        "tokens": by_tokens,
        "processes": by_processes,
        "passages": by_passages,
    }
    parser.add_argument("--largest", type=int, default=1_000_000, help="passages of the largest index")
    parser.add_argument("--only", nargs="*", choices=list(parts), default=list(parts))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    if arguments.json and arguments.json.is_file():
        report = json.loads(arguments.json.read_text(encoding="utf-8"))
    report |= {"machine": machine_key(), "processors": os.cpu_count()}
    for name in arguments.only:
        report[name] = parts[name](arguments.largest)
        show(name, report[name])
        if arguments.json:
            arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        draw(report, arguments.plot)


def by_candidates(_: int) -> Rows:
    """The number of candidates of one question."""
    threads = os.cpu_count() or 1
    return [{"candidates": n} | ranking(n, WORDS, threads) for n in (10, 30, 100, 300, 1000)]


def by_tokens(_: int) -> Rows:
    """The length of the passages."""
    threads = os.cpu_count() or 1
    return [{"words": words} | ranking(CANDIDATES, words, threads) for words in (16, 50, 100, 200, 350)]


def by_processes(_: int) -> Rows:
    """Processes of one thread, at once."""
    rows: Rows = []
    for number in (1, 2, 4):
        running = [ranking_process(CANDIDATES, WORDS, 1) for _ in range(number)]
        found = [answer(process) for process in running]
        rate = sum(CANDIDATES / one["seconds"] for one in found)
        rows.append({"processes": number, "pairs_per_second": round(rate, 1)})
    return rows


def by_passages(largest: int) -> Rows:
    """The size of the index."""
    rows: Rows = []
    for number in (1_000, 10_000, 100_000, 1_000_000):
        if number > largest:
            break
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_passages(folder / "passages", number)
            write_embedder(folder / "embedder")
            row: dict[str, Any] = {}
            for work in ("make", "ask", "repair"):
                row |= answer(start("benchmarks.growth.index", work, str(folder)))
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
    return rows


def ranking(candidates: int, words: int, threads: int) -> dict[str, Any]:
    """One measurement of a ranking."""
    return answer(ranking_process(candidates, words, threads))


def ranking_process(candidates: int, words: int, threads: int) -> subprocess.Popen[str]:
    """The process of such a measurement."""
    return start("benchmarks.growth.ranking", str(candidates), str(words), str(threads))


def start(module: str, *arguments: str) -> subprocess.Popen[str]:
    """A new process of this Python."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a process prints."""
    text, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{process.args} ended with {process.returncode}")
    found: dict[str, Any] = json.loads(text)
    return found


def growth(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of a line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def show(name: str, rows: Rows) -> None:
    """Print a table in Markdown, with the growth of each column."""
    columns = list(rows[0])
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(f'{row[column]:,}' for column in columns)} |")
    sizes = [row[columns[0]] for row in rows]
    slopes = [
        f"{growth(sizes, [row[column] for row in rows]):.2f}" if all(row[column] > 0 for row in rows) else ""
        for column in columns[1:]
    ]
    print(f"| growth | {' | '.join(slopes)} |", flush=True)


if __name__ == "__main__":
    main()
