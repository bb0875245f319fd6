"""crossrank train: train a cross-encoder on your own questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossrank.cli.output import notify, print_json, progress_bars
from crossrank.errors import InputError

if TYPE_CHECKING:
    from crossrank.training.run import TrainingReport
    from crossrank.training.settings import TrainingSettings


def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Judged collections in BEIR layout, each a folder.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to write.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with all settings (docs/training.md).")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="The model to train further; by default the bundled one.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The split of each collection, qrels/SPLIT.tsv; by default train.")
    ] = None,
    passes: Annotated[int | None, typer.Option(help="Number of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Train a cross-encoder on judged questions; run the same command again to resume after an interruption.

    Needs the extra crossrank[train].

    Example: crossrank train my-collection/ -o my-reranker
    """
    if output is None:
        raise InputError("name the folder to write: -o my-reranker")
    from crossrank.training.run import train as run

    settings = _settings(data, config, split, base=base, passes=passes, seed=seed)
    with _report() as (progress, log):
        report = run(settings, output, progress=progress, log=log)
    if as_json:
        print_json({"model": str(report.model), "pairs": report.pairs, **report.figures.as_dict()})
    else:
        _print(report)


def _settings(
    data: Sequence[Path] | None, config: Path | None, split: str | None, **given: Any
) -> TrainingSettings:
    from crossrank.training.settings import JudgedData, TrainingSettings, read_settings

    if split and not data:
        raise InputError("--split goes with collections on the command line; a --config names its own splits")
    if data:
        given["data"] = tuple(JudgedData(folder, split=split or "train") for folder in data)
    if config is not None:
        return read_settings(config, **given)
    if not data:
        raise InputError("name the judged collections to train on, or a --config that does")
    return TrainingSettings(**{name: value for name, value in given.items() if value is not None})


def _print(report: TrainingReport) -> None:
    from rich.table import Table

    from crossrank.cli.screen import console

    screen = console()
    figures = report.figures
    names = list(figures.evaluations)
    table = Table("nDCG@10", *names)
    for source, values in figures.by_source("nDCG@10").items():
        table.add_row(source, *(f"{values[name]:.4f}" for name in names))
    table.add_row("all questions", *(f"{e.means['nDCG@10']:.4f}" for e in figures.evaluations.values()))
    screen.print(f"{len(figures.lists)} questions kept out of the training; {report.pairs:,} pairs learnt")
    screen.print(table)
    reference = "before" if "before" in names else "bi-encoder"
    gain = figures.gain(reference, "after")
    low, high = gain.interval
    screen.print(f"after against {reference}: {gain.difference:+.4f} (95% {low:+.4f} to {high:+.4f})")
    screen.print(f"Written: {report.model} (int8 for the CPU: {report.model / 'int8'})", soft_wrap=True)


@contextmanager
def _report() -> Iterator[
    tuple[Callable[[str, int, int], object], Callable[[dict[str, float], int], object]]
]:
    """Progress bars on a terminal; otherwise one line per validation and task, for logs."""
    with progress_bars(stay=True) as bars:
        started: set[str] = set()

        def progress(what: str, done: int, total: int) -> None:
            if what not in started and not bars.shown:
                notify(what)
            started.add(what)
            bars(what, done, total)

        def log(line: dict[str, float], steps: int) -> None:
            progress("Training", int(line["step"]), steps)
            if "loss" in line:
                bars.describe("Training", f"Training, loss {line['loss']:.3f}")
            if "ndcg@10" in line:
                ndcg = f"nDCG@10 {line['ndcg@10']:.4f} on questions kept out"
                bars.print(f"step {int(line['step'])} of {steps}: {ndcg}")

        yield progress, log
