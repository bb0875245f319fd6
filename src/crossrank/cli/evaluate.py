"""crossrank eval: how much reranking gains on a judged collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from crossrank.cli.options import Device, Embedder, Model
from crossrank.cli.output import console, notify, print_json, progress_bar
from crossrank.errors import InputError, MissingFileError
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER

_STAGES = ("bm25", "dense", "hybrid")


def evaluate(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels/.", show_default=False
        ),
    ],
    first_stage: Annotated[
        str, typer.Option(help="bm25, dense, hybrid, or a run file (TREC format).")
    ] = "hybrid",
    model: Model = DEFAULT_CROSS_ENCODER,
    device: Device = None,
    embedder: Embedder = DEFAULT_BI_ENCODER,
    candidates: Annotated[int, typer.Option(help="How many candidates a query are reranked.")] = 100,
    split: Annotated[str | None, typer.Option(help="Which qrels/SPLIT.tsv; test by default.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Other judgements than the dataset's own.")] = None,
    run: Annotated[Path | None, typer.Option(help="Write the reranked run here, in TREC format.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the comparison here (.png or .svg).")] = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Add each query's values.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a first stage and its reranking on a judged collection, with a paired comparison.

    Needs the extra crossrank[eval]; --plot needs crossrank[plot].

    Example: crossrank eval scifact/ --first-stage bm25 --plot gain.png
    """
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1; it is {candidates}")
    from dataclasses import replace

    from crossrank.evaluation import (
        compare,
        evaluate_run,
        load_collection,
        load_qrels,
        plot_comparison,
        require_eval,
        require_plot,
        write_run,
    )
    from crossrank.evaluation.experiment import reranked_run
    from crossrank.ranking.reranker import Reranker

    require_eval()
    if plot is not None:
        require_plot(plot)
    collection = load_collection(dataset, split=split)
    if qrels is not None:
        judged = load_qrels(qrels)
        queries = {query: text for query, text in collection.queries.items() if query in judged}
        collection = replace(collection, queries=queries, qrels={query: judged[query] for query in queries})
    similarities: dict[str, dict[str, float]] = {}
    word_matches: dict[str, dict[str, float]] = {}
    before = _first_stage(collection, first_stage, embedder, candidates, similarities, word_matches)
    reranker = Reranker(model, device=device)
    own = reranker.model.interpolation
    takes_similarities = own is not None and own.embedder == embedder
    for notice in reranker.model.notices:
        notify(notice)
    pairs = sum(min(candidates, len(before.get(query, ()))) for query in collection.queries)
    with progress_bar("Reranking", pairs) as progress:
        after = reranked_run(
            collection,
            before,
            reranker,
            depth=candidates,
            similarities=similarities if takes_similarities else None,
            word_matches=word_matches,
            progress=progress,
        )
    a, b = evaluate_run(before, collection.qrels), evaluate_run(after, collection.qrels)
    comparisons = {measure: compare(a, b, measure) for measure in a.means}
    if run is not None:
        write_run(run, after, tag="crossrank")
    if plot is not None:
        plot_comparison(plot, _name(first_stage), a, "reranked", b)
    report: dict[str, Any] = {
        "dataset": collection.name,
        "queries": len(collection.queries),
        "first_stage": _name(first_stage),
        "model": reranker.model.name,
        "candidates": candidates,
        "measures": {measure: _as_dict(comparison) for measure, comparison in comparisons.items()},
    }
    if per_query:
        report["per_query"] = {
            query: {"first_stage": dict(a.per_query[query]), "reranked": dict(b.per_query[query])}
            for query in a.per_query
        }
    print_json(report) if as_json else _print_report(report)


def _first_stage(
    collection: Any,
    first_stage: str,
    embedder: str,
    candidates: int,
    similarities: dict[str, dict[str, float]],
    word_matches: dict[str, dict[str, float]],
) -> dict[str, dict[str, float]]:
    from crossrank.evaluation import read_run
    from crossrank.evaluation.experiment import first_stage_run
    from crossrank.inference.bi_encoder import BiEncoder

    if first_stage not in _STAGES:
        if not Path(first_stage).is_file():
            raise MissingFileError(
                f"--first-stage must be {', '.join(_STAGES)}, or a run file; there is no file {first_stage!r}"
            )
        return read_run(first_stage)
    bi_encoder = None if first_stage == "bm25" else BiEncoder(embedder)
    with progress_bar("Indexing", len(collection.documents)) as progress:
        return first_stage_run(
            collection,
            first_stage,  # type: ignore[arg-type]
            depth=candidates,
            bi_encoder=bi_encoder,
            similarities=similarities,
            word_matches=word_matches,
            progress=progress,
        )


def _name(first_stage: str) -> str:
    return first_stage if first_stage in _STAGES else Path(first_stage).name


def _as_dict(comparison: Any) -> dict[str, Any]:
    return {
        "first_stage": comparison.mean_a,
        "reranked": comparison.mean_b,
        "difference": comparison.difference,
        "interval_95": list(comparison.interval),
        "p_value": comparison.p_value,
        "wins": comparison.wins,
        "losses": comparison.losses,
        "ties": comparison.ties,
    }


def _print_report(report: dict[str, Any]) -> None:
    screen = console()
    screen.print(
        f"{report['dataset']}: {report['queries']} queries, {report['candidates']} candidates each, "
        f"{report['model']}"
    )
    table = Table(
        "measure", report["first_stage"], "reranked", "difference", "95% interval", "p", "better / worse"
    )
    for measure, row in report["measures"].items():
        low, high = row["interval_95"]
        table.add_row(
            measure,
            f"{row['first_stage']:.4f}",
            f"{row['reranked']:.4f}",
            f"{row['difference']:+.4f}",
            f"[{low:+.4f}, {high:+.4f}]".replace("[", "\\["),
            f"{row['p_value']:.4f}",
            f"{row['wins']} / {row['losses']}",
        )
    screen.print(table)
    for query, values in report.get("per_query", {}).items():
        before, after = values["first_stage"]["nDCG@10"], values["reranked"]["nDCG@10"]
        screen.print(f"{query}\tnDCG@10 {before:.4f} -> {after:.4f}", markup=False)
