"""Time per request of crossrank's SageMaker handler and of the reranker notebook's, on the same weights.

    python benchmarks/sagemaker.py --peer PYTHON [--model FOLDER] [--requests 20] [--runs 5]

PYTHON is an interpreter with torch and transformers. The weights are the bundled cross-encoder's turned back
into float32, or those of FOLDER; both sides compute in float32. A request has 1, 20 or 100 pairs of sample
texts; each run is a new process, the sides in turn. The bundled int8 model is a third side.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from reference_case import write_float32

from crossrank.models.locate import DEFAULT_CROSS_ENCODER, locate_model

PAIRS = (1, 20, 100)
HANDLER = Path(__file__).parent / "peers" / "handler_requests.py"
SAMPLES = Path(__file__).parents[1] / "src" / "crossrank" / "samples" / "judged"
NOTEBOOK, SAME, BUNDLED = "notebook's handler", "crossrank, float32", "crossrank, bundled int8"


def texts(name: str) -> list[str]:
    """The texts of a file of the judged samples."""
    lines = (SAMPLES / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def make_requests(count: int, pairs: int) -> list[dict[str, Any]]:
    """The same requests at every call: one query each, and passages drawn at random."""
    draw = random.Random(pairs)
    queries, passages = texts("queries.jsonl"), texts("corpus.jsonl")
    return [
        {"pairs": [[query, passage] for passage in draw.choices(passages, k=pairs)]}
        for query in draw.choices(queries, k=count)
    ]


def copy_in_float32(source: Path | None, folder: Path) -> None:
    """A model that transformers, too, computes in float32: it goes by the type that config.json names."""
    if source is None:
        write_float32(DEFAULT_CROSS_ENCODER, folder)
        return
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float32"}), encoding="utf-8")


def run(command: list[str]) -> dict[str, Any]:
    """What one process printed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if process.returncode:
        sys.exit(f"{command[0]} failed:\n{process.stderr}")
    result: dict[str, Any] = json.loads(process.stdout)
    return result


def cell(values: list[float], form: str) -> str:
    """Median, and least to most."""
    low, middle, high = (format(f(values), form) for f in (min, statistics.median, max))
    return f"{middle} ({low} to {high})"


def row(pairs: int, results: dict[str, list[dict[str, Any]]]) -> str:
    """Milliseconds a request on each side, and how many times as fast crossrank is, run by run."""
    medians = {
        name: [statistics.median(result["seconds"]) * 1000 for result in done]
        for name, done in results.items()
    }
    cells = [cell(values, ".1f") for values in medians.values()]
    for side in (SAME, BUNDLED):
        cells.append(cell([a / b for a, b in zip(medians[NOTEBOOK], medians[side], strict=True)], ".1f"))
    return f"| {pairs} | {' | '.join(cells)} |"


def largest_difference(results: dict[str, list[dict[str, Any]]]) -> float:
    """Between the logits of the two sides with the same weights."""
    ours, theirs = (
        [score for scores in results[side][0]["scores"] for score in scores] for side in (SAME, NOTEBOOK)
    )
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    """Run the requests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", required=True, help="an interpreter with torch and transformers")
    parser.add_argument("--model", type=Path, help="a float model's folder")
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    differences, versions = [], []
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary, "model")
        copy_in_float32(arguments.model, model)
        commands = {
            NOTEBOOK: [arguments.peer, str(HANDLER), "notebook", str(model)],
            SAME: [sys.executable, str(HANDLER), "crossrank", str(model)],
            BUNDLED: [sys.executable, str(HANDLER), "crossrank", str(locate_model(DEFAULT_CROSS_ENCODER))],
        }
        print(f"| pairs | {' | '.join(f'{name}, ms' for name in commands)} | ratio, float32 | ratio, int8 |")
        print("|---|---|---|---|---|---|")
        for pairs in PAIRS:
            file = Path(temporary, f"{pairs}.json")
            file.write_text(json.dumps(make_requests(arguments.requests, pairs)), encoding="utf-8")
            results: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
            for _ in range(arguments.runs):
                for name, command in commands.items():
                    results[name].append(run([*command, str(file)]))
            print(row(pairs, results), flush=True)
            differences.append(largest_difference(results))
            versions = [", ".join(results[side][0]["versions"]) for side in (NOTEBOOK, SAME)]
    print(
        f"\n{arguments.requests} requests a process after one that is not counted, {arguments.runs} processes"
    )
    print(f"each; medians of their medians. {'; '.join(versions)}.")
    print(f"Logits on the same weights differ by at most {max(differences):.1e}.")


if __name__ == "__main__":
    main()
