"""crossrank eval: measure reranking on a judged collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from crossrank.cli.judged import (
    Dataset,
    FirstStage,
    Judgements,
    Split,
    first_stage_candidates,
    judged_collection,
)
from crossrank.cli.options import Device, Embedder, LongDocuments, Model, Precision
from crossrank.cli.output import console, notify, print_json, progress_bar
from crossrank.errors import InputError
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER


def evaluate(
    dataset: Dataset,
    retrieval: FirstStage = "hybrid",
    model: Model = DEFAULT_CROSS_ENCODER,
    device: Device = None,
    precision: Precision = "auto",
    embedder: Embedder = DEFAULT_BI_ENCODER,
    candidates: Annotated[int, typer.Option(help="How many candidates to rerank per query.")] = 100,
    long_documents: LongDocuments = "truncate",
    split: Split = None,
    qrels: Judgements = None,
    run: Annotated[Path | None, typer.Option(help="Write the reranked run here, in TREC format.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the comparison here (.png or .svg).")] = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Add each query's values.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a first stage and its reranking on a judged collection, with a paired comparison.

    Needs the extra crossrank[eval]; --plot needs crossrank[plot].

    Example: crossrank eval scifact/ --retrieval lexical --plot gain.png
    """
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1; it is {candidates}")
    from crossrank.evaluation import plot_comparison, require_eval, require_plot, run_experiment, write_run
    from crossrank.ranking.reranker import Reranker

    require_eval()
    if plot is not None:
        require_plot(plot)
    collection = judged_collection(dataset, split, qrels)
    found = first_stage_candidates(collection, retrieval, embedder, candidates)
    reranker = Reranker(model, device=device, precision=precision)
    with progress_bar("Reranking", sum(len(row[:candidates]) for row in found.values())) as progress:
        experiment = run_experiment(
            collection,
            found,
            reranker,
            candidates=candidates,
            long_documents=long_documents,
            progress=progress,
        )
    for notice in experiment.notices:
        notify(notice)
    name = Path(retrieval).name
    if run is not None:
        write_run(run, experiment.reranked, tag="crossrank")
    if plot is not None:
        plot_comparison(plot, name, experiment.before, "reranked", experiment.after)
    report = {
        "dataset": collection.name,
        "queries": len(collection.queries),
        "retrieval": name,
        "model": reranker.model.name,
        "candidates": candidates,
        **experiment.to_dict(per_query=per_query),
    }
    print_json(report) if as_json else _print_report(report)


def _print_report(report: dict[str, Any]) -> None:
    screen = console()
    screen.print(
        f"{report['dataset']}: {report['queries']} queries, {report['candidates']} candidates each, "
        f"{report['model']}"
    )
    table = Table(
        "measure", report["retrieval"], "reranked", "difference", "95% interval", "p", "better / worse"
    )
    for measure, row in report["measures"].items():
        low, high = row["interval_95"]
        table.add_row(
            measure,
            f"{row['first_stage']:.4f}",
            f"{row['reranked']:.4f}",
            f"{row['difference']:+.4f}",
            f"[{low:+.4f}, {high:+.4f}]",
            f"{row['p_value']:.4f}",
            f"{row['wins']} / {row['losses']}",
        )
    screen.print(table)
    for query, values in report.get("per_query", {}).items():
        before, after = values["first_stage"]["nDCG@10"], values["reranked"]["nDCG@10"]
        screen.print(f"{query}\tnDCG@10 {before:.4f} -> {after:.4f}")
