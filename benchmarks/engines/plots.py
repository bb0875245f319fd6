"""The figures as pictures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from benchmarks.engines.figures import compared
from benchmarks.engines.sides import REFERENCE, SIDES
from benchmarks.engines.tables import peak, title
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_OURS, _THEIRS, _INK, _FAINT = "#0072B2", "#999999", "#333333", "#D9D9D9"
_COLUMNS = 3


def draw_speed(figures: Mapping[str, Any], path: Path) -> None:
    """Each case: every side's pairs a second as a ratio to the reference, median with least to most."""
    cases = [
        (title(model, case), case) for model, block in figures["models"].items() for case in block["cases"]
    ]
    names = [side.name for side in SIDES][::-1]
    rows = -(-len(cases) // _COLUMNS)
    figure = Figure(figsize=(13, 0.6 + 3.6 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True)
    for axes in panels.flat[len(cases) :]:
        axes.set_visible(False)
    for axes, (name, case) in zip(panels.flat, cases, strict=False):
        for place, side in enumerate(names):
            values = compared(case, REFERENCE, side)
            if values:
                colour = _colour(side)
                axes.plot([min(values), max(values)], [place, place], color=colour, linewidth=2)
                axes.plot(statistics.median(values), place, "o", color=colour, markersize=5)
        axes.axvline(1, color=_INK, linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
        axes.minorticks_off()
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_title(name, loc="left", fontsize=10, color=_INK)
        _tidy(axes)
    figure.suptitle(f"Pairs a second, as a ratio to {REFERENCE}' default", color=_INK)
    _save(figure, path)


def draw_cost(figures: Mapping[str, Any], path: Path) -> None:
    """Each model: every side's load time and peak memory."""
    models = figures["models"]
    figure = Figure(figsize=(11, 0.6 + 3.6 * len(models)), layout="constrained")
    panels = figure.subplots(len(models), 2, squeeze=False)
    for (left, right), (model, block) in zip(panels, models.items(), strict=True):
        names = [side.name for side in SIDES if side.name in block["load"]][::-1]
        colours = [_colour(name) for name in names]
        memory = [peak(block, name) for name in names]
        left.barh(names, [statistics.median(block["load"][name]) for name in names], color=colours)
        right.barh(names, [float(value) if value.isdigit() else 0 for value in memory], color=colours)
        right.set_yticks([])
        left.set_title(f"{model}: seconds to load", loc="left", fontsize=10, color=_INK)
        right.set_title(f"{model}: peak memory, MB", loc="left", fontsize=10, color=_INK)
        for axes in (left, right):
            axes.tick_params(axis="y", labelsize=8)
            _tidy(axes)
    _save(figure, path)


def _colour(name: str) -> str:
    return _OURS if next(side for side in SIDES if side.name == name).is_ours else _THEIRS


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(colors=_INK, length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=_FAINT, linewidth=0.6)


def _save(figure: Figure, path: Path) -> None:
    # Without a date and random names, the same figures make the same file.
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None})
