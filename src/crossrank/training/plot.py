"""Plot a training: loss and validation nDCG@10."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossrank.training.trainer import LogLine

_LOSS, _NDCG, _INK = "#E69F00", "#0072B2", "#333333"


def plot_training(path: Path, lines: Sequence[LogLine]) -> None:
    """Plot loss and validation nDCG@10 by step.

    Args:
        path: The file to write, .png or .svg.
        lines: The training's log.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    from crossrank.evaluation.plot import require_plot

    require_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), dpi=150, layout="constrained")
    left = figure.subplots()
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    left.plot(*zip(*losses, strict=True), color=_LOSS, linewidth=1.2) if losses else None
    left.set_xlabel("step", color=_INK)
    left.set_ylabel("loss", color=_LOSS)
    right = left.twinx()
    measured = [(line["step"], line["ndcg@10"]) for line in lines if "ndcg@10" in line]
    right.plot(*zip(*measured, strict=True), color=_NDCG, marker="o") if measured else None
    right.set_ylabel("nDCG@10 on questions kept out", color=_NDCG)
    for axes in (left, right):
        axes.spines["top"].set_visible(False)
    left.set_title("Training", loc="left", color=_INK)
    figure.savefig(path)
