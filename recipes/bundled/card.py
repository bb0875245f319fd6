"""The tables of the bundled cross-encoder's card, from docs/model-figures.json.

    python recipes/bundled/card.py docs/model-figures.json

Replaces two tables in the card, which is the README.md of the bundled model's folder: nDCG@10 of each
collection and first stage, and the mean gains with their intervals. The text of the card is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from build import BUNDLED

from crossrank.models.locate import DEFAULT_CROSS_ENCODER

STAGES = ("BM25", "bi-encoder", "bi-encoder, pool", "hybrid")
# The names of figures.py, as the card has them.
COLUMNS = {
    "before": "before",
    "similarity and words, no model": "no model",
    "ours": "alone",
    "ours, with similarity": "with similarity",
    "ours, with words": "with words",
    "ours, with similarity and words": "with both",
}


def main() -> None:
    """Replace both tables."""
    figures = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    card = BUNDLED / DEFAULT_CROSS_ENCODER / "README.md"
    text = card.read_text(encoding="utf-8")
    for table in tables(figures):
        header = table.partition("\n")[0]
        old = re.compile(rf"^{re.escape(header)}\n(\|.*\n)*", re.MULTILINE)
        text, found = old.subn(table, text)
        if found != 1:
            sys.exit(f"{card} has no table with the columns {header}, or more than one")
    card.write_text(text, encoding="utf-8")


def tables(figures: dict[str, Any]) -> tuple[str, str]:
    """nDCG@10 of the collections, and the mean gains, as Markdown; ``figures`` is what figures.py wrote."""
    return _collections(figures["nDCG@10"]), _gains(figures["nDCG@10 gain"])


def _collections(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    lines = [
        [collection, stage, *(f"{values[name]:.3f}" for name in COLUMNS)]
        for collection, stages in rows.items()
        for stage, values in stages.items()
        if stage in STAGES
    ]
    return _table(["collection", "first stage", *COLUMNS.values()], lines)


def _gains(rows: dict[str, dict[str, list[float]]]) -> str:
    lines = [
        [stage, *("{:+.4f} ({:+.4f} to {:+.4f})".format(*values[name]) for name in COLUMNS if name in values)]
        for stage, values in rows.items()
    ]
    return _table(["first stage", *list(COLUMNS.values())[1:]], lines)


def _table(header: list[str], lines: list[list[str]]) -> str:
    rows = [header, *lines]
    text = [f"| {' | '.join(row)} |\n" for row in rows]
    return text[0] + "|" + "---|" * len(header) + "\n" + "".join(text[1:])


if __name__ == "__main__":
    main()
