"""crossrank eval: measure reranking on a judged collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossrank.cli.judged import (
    FirstStage,
    Judgements,
    Split,
    first_stage_candidates,
    index_candidates,
    judged_collection,
    measured,
    some_queries,
)
from crossrank.cli.options import (
    Device,
    Embedder,
    LongDocuments,
    Model,
    Precision,
    ScoreCacheOption,
    given_path,
)
from crossrank.cli.output import notify, notify_of_cache, print_json, progress_bar
from crossrank.cli.tune import tune as learn
from crossrank.errors import InputError
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER

if TYPE_CHECKING:
    from crossrank.documents import Candidate
    from crossrank.evaluation import Collection
    from crossrank.index import Index
    from crossrank.retrieval.base import Retriever


def evaluate(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            help="Folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels/. Can be left out with --index "
            "and --tune, which then makes questions of the index's passages.",
            show_default=False,
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="INDEX",
            help="Take the first stage from this index, which has the documents of the dataset.",
            show_default=False,
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Learn how much the model counts next to the first stage's evidence, and keep that in the "
            "index; needs 20 queries, better some hundred.",
        ),
    ] = False,
    queries: Annotated[
        int | None,
        typer.Option(help="At most this many queries, drawn by chance.", show_default="all; with --tune 300"),
    ] = None,
    retrieval: FirstStage = "hybrid",
    model: Model = DEFAULT_CROSS_ENCODER,
    device: Device = None,
    precision: Precision = "auto",
    embedder: Embedder = DEFAULT_BI_ENCODER,
    candidates: Annotated[
        int | None,
        typer.Option(help="How many candidates to rerank per query.", show_default="100; with --tune 20"),
    ] = None,
    long_documents: LongDocuments = "truncate",
    split: Split = None,
    qrels: Judgements = None,
    score_cache: ScoreCacheOption = None,
    run: Annotated[Path | None, typer.Option(help="Write the reranked run here, in TREC format.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the comparison here (.png or .svg).")] = None,
    per_query: Annotated[bool, typer.Option("--per-query", help="Add each query's values.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a first stage and its reranking on a judged collection, with a paired comparison.

    With --tune, the weights of logit and evidence are learnt, cross-validated, and kept in the index for
    searches; a sentence says whether the model makes the search better or worse.

    Needs the extra crossrank[eval]; --plot needs crossrank[plot].

    Example: crossrank eval scifact/ --retrieval lexical --plot gain.png

    Example: crossrank eval my-questions/ --index my-index --tune
    """
    candidates = (20 if tune else 100) if candidates is None else candidates
    queries = 300 if tune and queries is None else queries
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1; it is {candidates}")
    from crossrank.evaluation import plot_comparison, require_eval, require_plot, run_experiment, write_run
    from crossrank.ranking.reranker import Reranker
    from crossrank.search import interpolation_for, rescaled_interpolation

    require_eval()
    if plot is not None:
        require_plot(plot)
    opened, collection, retriever, found = _found(
        dataset, index, retrieval, embedder, candidates, queries, split, qrels, tune=tune
    )
    reranker = Reranker(model, device=device, precision=precision, score_cache=score_cache)
    if tune:
        learn(
            collection,
            found,
            reranker,
            own=rescaled_interpolation(retriever, reranker.model) if retriever is not None else None,
            candidates=candidates,
            embedder=embedder if opened is None else opened.summary().embedder,
            index=opened,
            self_made=dataset is None,
            as_json=as_json,
        )
        notify_of_cache(reranker.model.score_cache)
        return
    if opened is not None and reranker.model.fingerprint in opened.interpolations():
        notify(
            "reranked with the weights that the index keeps for this model (eval --tune), as searches are; "
            "for the questions that they were learnt from, the figures are too good"
        )
    with progress_bar("Reranking", sum(len(row[:candidates]) for row in found.values())) as progress:
        experiment = run_experiment(
            collection,
            found,
            reranker,
            candidates=candidates,
            long_documents=long_documents,
            interpolation=interpolation_for(retriever, reranker.model) if retriever is not None else None,
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
    notify_of_cache(reranker.model.score_cache)


def _found(
    dataset: Path | None,
    index: Path | None,
    retrieval: str,
    embedder: str,
    candidates: int,
    queries: int | None,
    split: str | None,
    qrels: Path | None,
    *,
    tune: bool,
) -> tuple[Index | None, Collection, Retriever | None, Mapping[str, Sequence[Candidate]]]:
    """The index, the judged queries, the first stage, and the candidates of each query."""
    if dataset is not None:
        collection = some_queries(judged_collection(dataset, split, qrels), queries)
        if index is None:
            return None, collection, *first_stage_candidates(collection, retrieval, embedder, candidates)
    elif index is None or not tune:
        raise InputError("name a judged collection; only --tune with --index INDEX can do without one")
    from crossrank.evaluation.indexed import self_made_collection
    from crossrank.index import Index

    opened = Index(index)
    if dataset is None:
        collection = self_made_collection(opened, queries or 300)
    return opened, collection, *index_candidates(collection, opened, retrieval, candidates)


def _print_report(report: dict[str, Any]) -> None:
    from rich.table import Table

    from crossrank.cli.screen import console

    screen = console()
    screen.print(measured(report))
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
