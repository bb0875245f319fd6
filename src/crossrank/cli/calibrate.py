"""crossrank calibrate: fit probabilities on a judged collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crossrank.cli.judged import (
    Dataset,
    FirstStage,
    Judgements,
    Split,
    first_stage_candidates,
    judged_collection,
    measured,
)
from crossrank.cli.options import Device, Embedder, Precision, given_path
from crossrank.cli.output import print_json, progress_bar
from crossrank.errors import InputError
from crossrank.models.locate import DEFAULT_BI_ENCODER


def calibrate(
    dataset: Dataset,
    model: Annotated[
        Path,
        typer.Option(
            help="The folder of the cross-encoder; the calibration is saved in it.",
            parser=given_path,
            metavar="FOLDER",
            show_default=False,
        ),
    ],
    retrieval: FirstStage = "hybrid",
    device: Device = None,
    precision: Precision = "auto",
    embedder: Embedder = DEFAULT_BI_ENCODER,
    candidates: Annotated[int, typer.Option(help="How many candidates to score per query.")] = 20,
    split: Split = None,
    qrels: Judgements = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the reliability here (.png or .svg).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit the probability that a passage is relevant on a judged collection, and save it with the model.

    Platt scaling and isotonic regression are fitted, for the logit alone and for each choice of evidence
    that the model has weights for; the better by held-out log loss is saved. Hits then have a probability,
    and --min-probability of search leaves out what is not relevant. The printed errors are of queries that
    the fit has not seen.

    Take the first stage and the number of candidates that you search with. --plot needs crossrank[plot].

    Example: crossrank calibrate my-questions/ --model my-reranker/ --plot reliability.png
    """
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1; it is {candidates}")
    if not model.is_dir():
        raise InputError(
            f"--model {model}: there is no such folder. A calibration is saved in the model's own folder; "
            f"copy one first: crossrank pull {model} -o my-reranker"
        )
    from crossrank.evaluation import require_plot
    from crossrank.evaluation.calibrating import calibrate_model
    from crossrank.evaluation.judged import judged_queries
    from crossrank.evaluation.plot import plot_reliability
    from crossrank.ranking.reranker import Reranker
    from crossrank.search import rescaled_interpolation

    if plot is not None:
        require_plot(plot)
    collection = judged_collection(dataset, split, qrels)
    retriever, found = first_stage_candidates(collection, retrieval, embedder, candidates)
    reranker = Reranker(model, device=device, precision=precision)
    with progress_bar("Scoring", sum(len(row[:candidates]) for row in found.values())) as progress:
        judged = judged_queries(collection, found, reranker, candidates=candidates, progress=progress)
    searched = rescaled_interpolation(retriever, reranker.model) if retriever is not None else None
    calibrated = calibrate_model(reranker.model.interpolation, judged, searched=searched)
    calibrated.save(model)
    *_, used = calibrated.reports.values()
    if plot is not None:
        plot_reliability(plot, model.name, {"Candidates": used.candidates, "Best of each query": used.best})
    report = {
        "dataset": collection.name,
        "queries": len(judged),
        "retrieval": Path(retrieval).name,
        "model": reranker.model.name,
        "candidates": candidates,
        "calibrations": {name: one.to_dict() for name, one in calibrated.reports.items()},
    }
    print_json(report) if as_json else _print_report(report)


def _print_report(report: dict[str, Any]) -> None:
    from rich.table import Table

    from crossrank.cli.screen import console

    screen = console()
    screen.print(measured(report))
    table = Table(
        "the logit", "method", "ECE", "Brier", "of one share", "ECE of the best", "Brier of the best"
    )
    for name, row in report["calibrations"].items():
        every, best = row["candidates"], row["best"]
        values = (every["ece"], every["brier"], row["base_brier"], best["ece"], best["brier"])
        table.add_row(name, row["method"], *(f"{value:.4f}" for value in values))
    screen.print(table)
