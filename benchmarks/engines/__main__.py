"""Compare crossrank's engine with other libraries': the tables of docs/engines.md and docs/engines/.

    python -m benchmarks.engines [--cases 20-short 100-mixed] [--eval FOLDER] [--output FOLDER]

Environments of the peers are made under .venv-bench (7 GB, once). Then every side loads the same weights and
scores the same texts, in turn, on all processors; with two of them that takes about two hours, on a machine
that does nothing else. --cases takes a part of the cases; --eval another judged collection, in BEIR layout,
for nDCG@10. What was measured on another kind of processor stays, and so do models whose cases were left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.engines.cases import SAMPLES, chosen_cases
from benchmarks.engines.comparing import compare_sides
from benchmarks.engines.environments import ROOT
from benchmarks.engines.machine import describe_machine, kind_of
from benchmarks.engines.plots import draw_cost, draw_speed
from benchmarks.engines.tables import overview, page

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
    machine = describe_machine()
    short, _ = kind_of(machine)
    folder: Path = arguments.output / "engines"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{short}.json"
    figures: dict[str, Any] = {
        "machine": machine,
        "judged": "of the sample texts" if is_sample else f"of {collection.name}",
        "versions": {},
        "models": {},
    }
    if file.is_file() and (known := json.loads(file.read_text(encoding="utf-8")))["machine"] == machine:
        figures = known | {"judged": figures["judged"]}
    for model, group in groupby(cases, key=lambda case: case.model):
        with tempfile.TemporaryDirectory() as work:
            block, versions = compare_sides(model, list(group), collection, Path(work))
        block["date"] = datetime.now(UTC).date().isoformat()
        block["command"] = " ".join(["python -m benchmarks.engines", *_part_of(arguments.cases)])
        figures["models"][model] = block
        figures["versions"] |= versions
        # After each model, so that half an hour's work is not lost with the last one.
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    write_pages(arguments.output)


def _part_of(cases: list[str] | None) -> list[str]:
    return ["--cases", *cases] if cases else []


def write_pages(output: Path) -> None:
    """Write the pages and pictures of all kinds of processor that there are figures of."""
    folder = output / "engines"
    kinds = {
        file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))
    }
    for short, figures in kinds.items():
        (folder / f"{short}.md").write_text(page(short, figures), encoding="utf-8")
        draw_speed(figures, folder / f"{short}-speed.svg")
        draw_cost(figures, folder / f"{short}-cost.svg")
    (output / "engines.md").write_text(overview(kinds), encoding="utf-8")


if __name__ == "__main__":
    main()
