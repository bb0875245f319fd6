"""Compare crossrank's engine with other libraries': the tables and plots of docs/engines.md.

    python -m benchmarks.engines [--cases 20-short 100-mixed] [--eval FOLDER] [--output FOLDER]

Environments of the peers are made under .venv-bench (7 GB, once). Then every side loads the same weights and
scores the same texts, in turn, on all processors; with two of them that takes most of an hour, on a machine
that does nothing else. --cases takes a part of the cases; --eval another judged collection, in BEIR layout,
for nDCG@10.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.engines.cases import SAMPLES, chosen_cases
from benchmarks.engines.comparing import compare_sides
from benchmarks.engines.environments import ROOT
from benchmarks.engines.machine import describe_machine
from benchmarks.engines.plots import draw_cost, draw_speed
from benchmarks.engines.tables import page

from crossrank.evaluation import load_collection


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", metavar="CASE")
    parser.add_argument("--eval", type=Path, default=SAMPLES / "judged", metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", metavar="FOLDER")
    arguments = parser.parse_args()
    try:
        cases = chosen_cases(arguments.cases)
    except ValueError as error:
        parser.error(str(error))
    collection = load_collection(arguments.eval)
    is_sample = arguments.eval == SAMPLES / "judged"
    figures: dict[str, Any] = {
        "machine": describe_machine(),
        "judged": "of the sample texts" if is_sample else f"of {collection.name}",
        "versions": {},
        "models": {},
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    for model, group in groupby(cases, key=lambda case: case.model):
        with tempfile.TemporaryDirectory() as work:
            block, versions = compare_sides(model, list(group), collection, Path(work))
        figures["models"][model] = block
        figures["versions"] |= versions
        # After each model, so that half an hour's work is not lost with the last one.
        text = json.dumps(figures, indent=1) + "\n"
        (arguments.output / "engines.json").write_text(text, encoding="utf-8")
    (arguments.output / "engines.md").write_text(page(figures), encoding="utf-8")
    draw_speed(figures, arguments.output / "engines-speed.svg")
    draw_cost(figures, arguments.output / "engines-cost.svg")


if __name__ == "__main__":
    main()
