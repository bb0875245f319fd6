"""Plot a comparison of two runs, and the reliability of probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.errors import InputError, MissingExtraError
from crossrank.evaluation.compare import Comparison, compare, mean_interval, paired_values
from crossrank.evaluation.measures import MEASURES, Evaluation

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from crossrank.evaluation.calibrating import Reliability

# Okabe and Ito's blue and orange, which colour-blind readers can tell apart.
_COLOUR_A, _COLOUR_B, _INK, _FAINT = "#E69F00", "#0072B2", "#333333", "#D9D9D9"
_TITLE: dict[str, Any] = {"loc": "left", "fontsize": 11, "color": _INK, "linespacing": 1.4}
_SUFFIXES = (".png", ".svg")


def plot_comparison(
    path: Path | str, a_name: str, a: Evaluation, b_name: str, b: Evaluation, measure: str = "nDCG@10"
) -> None:
    """Draw how the run b compares with the run a.

    On the left, one bar per query: how much b gained or lost on ``measure``, best first. On the right, the
    means of both runs for each measure, with 95% bootstrap intervals. Blue is b, and the queries on which b
    is better.

    Args:
        path: The file to write, ``.png`` (1650 by 810 pixels) or ``.svg``. An existing file is replaced.
        a_name: The name of a, such as ``"BM25"``.
        a: The baseline's evaluation.
        b_name: The name of b, such as ``"BM25 + reranker"``.
        b: The evaluation to compare with it, over the same queries.
        measure: One of ``MEASURES``.

    Raises:
        InputError: The suffix is another one, the file cannot be written, or the two evaluations cannot be
            compared (see :func:`~crossrank.evaluation.compare.compare`).
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> value = dict.fromkeys(MEASURES, 0.5)
        >>> a = Evaluation(value, {"q1": value})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plot_comparison(Path(folder, "picture.svg"), "BM25", a, "BM25 again", a)
        ...     print(*(file.name for file in Path(folder).iterdir()))
        picture.svg
    """
    path = Path(path)
    require_plot(path)
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    comparison = compare(a, b, measure)
    figure = Figure(figsize=(11, 5.4), dpi=150, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    _draw_differences(left, comparison, paired_values(a, b, measure))
    bars = _draw_means(right, a, b)
    names = [_label(name) for name in (a_name, b_name)]
    gap = " " if len("".join(names)) <= 60 else "\n"
    figure.suptitle(f"{names[1]}{gap}against {names[0]}", fontsize=15, fontweight="bold", color=_INK)
    figure.legend(
        bars, names, loc="outside lower center", ncols=2, frameon=False, fontsize=11, labelcolor=_INK
    )
    _save(figure, path)


def plot_reliability(path: Path | str, name: str, reliability: Mapping[str, Reliability]) -> None:
    """Draw how often candidates are relevant, by the probability that was predicted for them.

    One panel for each entry. On the dashed diagonal, probabilities agree with the judgements. Each point is a
    tenth of the candidates; the line through it is the 95% interval of its share (Wilson, 1927).

    Args:
        path: The file to write, ``.png`` or ``.svg``. An existing file is replaced.
        name: What was calibrated.
        reliability: Held-out predictions, by name.

    Raises:
        InputError: The suffix is another one, or the file cannot be written.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from crossrank.evaluation.calibrating import Reliability
        >>> known = Reliability(np.array([0.1, 0.9]), np.array([False, True]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plot_reliability(Path(folder, "picture.svg"), "model", {"candidates": known})
        ...     print(*(file.name for file in Path(folder).iterdir()))
        picture.svg
    """
    path = Path(path)
    require_plot(path)
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure(figsize=(5.4 * len(reliability), 5.4), dpi=150, layout=layout)
    panels = figure.subplots(1, len(reliability), squeeze=False)[0]
    for axes, (title, one) in zip(panels, reliability.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle="--")
        for probability, share, count in one.bins():
            axes.vlines(probability, *_wilson(share, count), color=_COLOUR_B, linewidth=1.4, alpha=0.6)
            axes.plot(probability, share, "o", color=_COLOUR_B, markersize=6)
        axes.set_title(
            f"{title}: {len(one.relevant):,}, of which {one.relevant.mean():.0%} relevant\n"
            f"ECE {one.ece:.3f}, Brier {one.brier:.3f}",
            **_TITLE,
        )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set_xlabel("predicted probability", fontsize=10.5, color=_INK)
        axes.set_ylabel("share that is relevant", fontsize=10.5, color=_INK)
        _tidy(axes)
    figure.suptitle(_label(name), fontsize=15, fontweight="bold", color=_INK)
    _save(figure, path)


def _wilson(share: float, count: int) -> tuple[float, float]:
    """The 95% interval of a share."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return middle - half, middle + half


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"{path} cannot be written: {reason}. Name a file in a folder that exists."
        ) from error


def require_plot(path: Path) -> None:
    """Check that a plot can be written before hours of ranking, not after.

    Raises:
        InputError: The suffix is not that of a supported format.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{path}: a picture is .png or .svg, by its suffix; it is {path.suffix!r}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Drawing a plot", "plot") from error


def _draw_differences(
    axes: Axes, comparison: Comparison, values: tuple[Sequence[float], Sequence[float]]
) -> None:
    differences = sorted((b - a for a, b in zip(*values, strict=True)), reverse=True)
    colours = [_COLOUR_B if difference > 0 else _COLOUR_A for difference in differences]
    axes.bar(range(len(differences)), differences, width=_bar_width(len(differences)), color=colours)
    axes.axhline(0, color=_INK, linewidth=0.8)
    axes.axhline(comparison.difference, color=_INK, linewidth=1.2, linestyle="--")
    lower, upper = comparison.interval
    chance = f"p = {comparison.p_value:.3f}" if comparison.p_value >= 0.001 else "p < 0.001"
    axes.set_title(
        f"Better on {comparison.wins} queries, worse on {comparison.losses}, equal on {comparison.ties}\n"
        f"mean {comparison.difference:+.3f} (dashed), 95% interval {lower:+.3f} to {upper:+.3f}, {chance}",
        **_TITLE,
    )
    # Where all are equal there is nothing to scale by.
    axes.set_ylim(1.08 * min(-0.05, *differences, 0), 1.08 * max(0.05, *differences, 0))
    axes.set_xlim(-0.75, len(differences) - 0.25)
    axes.set_xticks([])
    axes.set_xlabel("one bar a query, from gain to loss", fontsize=10.5, color=_INK)
    axes.set_ylabel(f"gain in {comparison.measure}", fontsize=10.5, color=_INK)
    _tidy(axes)


def _draw_means(axes: Axes, a: Evaluation, b: Evaluation) -> list[Artist]:
    first_bars: list[Artist] = []
    for evaluation, colour, side in ((a, _COLOUR_A, -0.2), (b, _COLOUR_B, 0.2)):
        places = [place + side for place in range(len(MEASURES))]
        means = [evaluation.means[measure] for measure in MEASURES]
        first_bars.append(axes.bar(places, means, width=0.38, color=colour)[0])
        for place, mean, measure in zip(places, means, MEASURES, strict=True):
            lower, upper = mean_interval([values[measure] for values in evaluation.per_query.values()])
            axes.vlines(place, lower, upper, color=_INK, linewidth=1.4)
            axes.text(place, upper + 0.012, f"{mean:.3f}", ha="center", va="bottom", fontsize=8.5, color=_INK)
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_xticks(range(len(MEASURES)), MEASURES, fontsize=10.5, color=_INK)
    axes.set_title(f"Means over {len(a.per_query)} queries\nwith 95% intervals", **_TITLE)
    _tidy(axes)
    return first_bars


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(colors=_INK, length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)


def _bar_width(bars: int) -> float:
    # Gaps between hundreds of bars would be all one sees.
    return 0.8 if bars <= 150 else 1.0


def _label(name: str) -> str:
    short = name if len(name) <= 50 else f"{name[:49]}…"
    return short.replace("$", r"\$")  # a bare dollar sign begins a formula
