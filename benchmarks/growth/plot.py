"""Draw how time grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
INK, FAINT = "#333333", "#D9D9D9"


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw three panels: reranking by candidates, making an index, and asking it, by passages.

    Args:
        report: What was measured.
        path: The picture, ``.png`` or ``.svg``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    ranking, making, asking = figure.subplots(1, 3)
    panels = [
        (ranking, "candidates", "Reranking: seconds by candidates", {"processor_seconds": "all"}),
        (
            making,
            "passages",
            "Making an index: seconds by passages",
            {"make_seconds": "whole index", "repair_seconds": "vectors alone, after a kill"},
        ),
        (
            asking,
            "passages",
            "First stage: milliseconds by passages",
            {"lexical_ms": "words", "dense_ms": "vectors", "hybrid_ms": "both"},
        ),
    ]
    for axes, size, title, series in panels:
        rows = report.get(size, [])
        for colour, (column, label) in zip(COLOURS, series.items(), strict=False):
            axes.plot(
                [row[size] for row in rows], [row[column] for row in rows], "o-", color=colour, label=label
            )
        axes.set(xscale="log", yscale="log")
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        axes.grid(color=FAINT, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if rows and len(series) > 1:
            axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
