"""The reranker notebook's flow, stage by stage, on LangChain's usual stack and on crossrank's.

    python benchmarks/langchain_flow.py FILE --peer PYTHON [--runs 5]

PYTHON is an interpreter with langchain-classic, langchain-community, langchain-huggingface,
sentence-transformers and faiss-cpu. Each run is a new process, the sides in turn: LangChain's with the
bundled models turned back into float32, crossrank with the same folders, and crossrank with the bundled int8
models.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from reference_case import QUESTION, write_float32

from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER

ANOTHER = "What will be done about prices?"
FLOW = Path(__file__).parent / "peers" / "langchain_flow.py"
PEER, SAME, BUNDLED = "LangChain", "crossrank, float32", "crossrank, bundled int8"
WHOLE = "**whole process**"


def run(command: list[str]) -> dict[str, Any]:
    """What one process printed, and the seconds that it took from start to end."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    whole = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{command[0]} failed:\n{process.stderr}")
    result: dict[str, Any] = json.loads(process.stdout)
    result["seconds"][WHOLE] = whole
    return result


def cell(values: list[float], form: str) -> str:
    """Median, and least to most."""
    low, middle, high = (format(f(values), form) for f in (min, statistics.median, max))
    return f"{middle} ({low} to {high})"


def print_table(results: dict[str, list[dict[str, Any]]]) -> None:
    """One row a stage: seconds on each side, and how many times as fast crossrank is, run by run."""
    print(f"| seconds, median (least to most) | {' | '.join(results)} | ratio, float32 | ratio, int8 |")
    print("|---|---|---|---|---|---|")
    for stage in results[PEER][0]["seconds"]:
        times = {name: [result["seconds"][stage] for result in done] for name, done in results.items()}
        cells = [cell(values, ".3f") for values in times.values()]
        for side in (SAME, BUNDLED):
            ratios = [theirs / ours for theirs, ours in zip(times[PEER], times[side], strict=True)]
            cells.append(cell(ratios, ".1f"))
        print(f"| {stage} | {' | '.join(cells)} |")


def main() -> None:
    """Run the flow."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--peer", required=True, help="an interpreter with LangChain's usual stack")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    names = [DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER]
    with tempfile.TemporaryDirectory() as temporary:
        folders = [str(Path(temporary, name)) for name in names]
        for name, folder in zip(names, folders, strict=True):
            write_float32(name, Path(folder))
        given = [QUESTION, ANOTHER, str(arguments.file)]
        commands = {
            PEER: [arguments.peer, str(FLOW), "langchain", *given, *folders],
            SAME: [sys.executable, str(FLOW), "crossrank", *given, *folders],
            BUNDLED: [sys.executable, str(FLOW), "crossrank", *given, *names],
        }
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
        for number in range(arguments.runs + 1):
            for name, command in commands.items():
                result = run(command)
                if number:  # the first run fills the disk cache
                    results[name].append(result)
    print_table(results)
    print(f"\n{arguments.runs} runs. {PEER}: {', '.join(results[PEER][0]['versions'])}.")
    print(f"crossrank: {', '.join(results[SAME][0]['versions'])}.")
    for side in (SAME, BUNDLED):
        same = all(
            ours["best"] == theirs["best"] for ours, theirs in zip(results[side], results[PEER], strict=True)
        )
        print(f"The best 3 of {side}: {'those of' if same else 'not those of'} {PEER}.")


if __name__ == "__main__":
    main()
