"""Time and memory of the reference case from a cold start, optionally compared with the usual stack.

    python benchmarks/reference_case.py FILE [--peer PYTHON] [--runs 5]

FILE is split at 500/100, embedded, searched for 20 candidates, reranked to 3; each run is a new process.
PYTHON is an interpreter with sentence-transformers, langchain-text-splitters and faiss-cpu: it then does
the same work with the same weights, turned back into float32, in turn with ours.
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

from crossrank.families.model import open_model
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER

QUESTION = "What is the plan for the economy?"
PEER = Path(__file__).parent / "peers" / "sentence_transformers_case.py"


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of one process."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed:\n{errors.decode()}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def write_float32(name: str, folder: Path) -> None:
    """A bundled model as an ordinary float32 folder that every library loads."""
    import shutil

    import numpy as np
    from safetensors.numpy import save_file

    model = open_model(name)
    shutil.copytree(model.path, folder, ignore=shutil.ignore_patterns("*.safetensors", "crossrank.json"))
    save_file(
        {name: np.ascontiguousarray(model.weights.float32(name)) for name in model.weights.learnt()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    # transformers computes in the type that config.json names, whatever the weights are stored as.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float32"}), encoding="utf-8")


def show(name: str, results: list[tuple[float, float]]) -> None:
    """One row: median, and least to most."""
    seconds, memory = zip(*results, strict=True)
    print(
        f"| {name} | {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}) "
        f"| {statistics.median(memory):.0f} MB |"
    )


def main() -> None:
    """Run the case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--peer", help="an interpreter with sentence-transformers")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    ours = [sys.executable, "-m", "crossrank", "search", QUESTION, str(arguments.file), "--json"]
    with tempfile.TemporaryDirectory() as temporary:
        commands = {"crossrank": ours}
        if arguments.peer:
            folders = [Path(temporary, name) for name in (DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER)]
            for folder in folders:
                write_float32(folder.name, folder)
            commands["sentence-transformers, LangChain's splitter, FAISS"] = [
                arguments.peer, str(PEER), QUESTION, str(arguments.file), *map(str, folders)
            ]  # fmt: skip
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for run in range(arguments.runs + 1):
            for name, command in commands.items():
                result = measure(command)
                if run:  # the first run fills the disk cache
                    results[name].append(result)
    print("| cold start to answer | time, median (least to most) | peak memory |\n|---|---|---|")
    for name, measured in results.items():
        show(name, measured)
    if arguments.peer:
        mine, peer = results.values()
        ratios = [p[0] / m[0] for m, p in zip(mine, peer, strict=True)]
        print(f"\nRatio: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
