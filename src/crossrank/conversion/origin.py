"""What a pulled model says of where it came from: in crossrank.json for programs, in its card for people."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.families.model import Model
from crossrank.models.locate import bundled_models, revision_of

if TYPE_CHECKING:
    from crossrank.conversion.pulling import PullReport


def origin_name(model: Model) -> str:
    """A name that means something elsewhere: not where a folder lies on this machine."""
    is_local = model.name not in bundled_models() and revision_of(model.path) is None
    return model.path.resolve().name if is_local else model.name


def origin_note(report: PullReport) -> dict[str, Any]:
    """Where the copy came from, without anything that differs when it is made again: no date, no speed."""
    revision = {} if report.revision is None else {"revision": report.revision}
    parity = {
        name: round(value, 6)
        for name, value in dataclasses.asdict(report.parity).items()
        if value is not None
    }
    return {"model": report.model, **revision, "weight_format": report.weight_format, "parity": parity}


def write_card(model: Model, report: PullReport, folder: Path) -> None:
    """The publisher's card with its licence, and what was done to the model below it."""
    card = model.path / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace").rstrip() + "\n\n" if card.is_file() else ""
    source = f"`{report.model}`" + (f", revision {report.revision}" if report.revision else "")
    changed = {
        "int8": "The encoder's matrices and word embeddings were rounded to int8, one factor a row.",
        "fp32": "The weights are the original's, in float32 or as they were exported.",
    }[report.weight_format]
    parity = report.parity
    (folder / "README.md").write_text(
        f"{text}## This copy\n\n"
        f"Made by `crossrank pull --weight-format {report.weight_format}` from {source}. {changed} "
        f"Over {parity.pairs} sample pairs: Spearman {parity.spearman:.4f}, "
        f"top-10 agreement {parity.top_10_agreement:.3f}, "
        f"largest difference {parity.largest_difference:.4f}.\n",
        encoding="utf-8",
    )
