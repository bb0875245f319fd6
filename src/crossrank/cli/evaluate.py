"""crossrank eval: measure reranking on a judged collection."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.table import Table

from crossrank.cli.options import Device, Embedder, LongDocuments, Model, Precision
from crossrank.cli.output import console, notify, print_json, progress_bar
from crossrank.errors import InputError, MissingFileError
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from crossrank.retrieval.base import Retrieval, Retriever

if TYPE_CHECKING:
    from crossrank.documents import Candidate
    from crossrank.evaluation import Collection

_RETRIEVALS = get_args(Retrieval)


def evaluate(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels/.", show_default=False
        ),
    ],
    retrieval: Annotated[
        str,
        typer.Option(
            help="The first stage: hybrid, dense or lexical; a run file (TREC format); or MODULE:NAME, your "
            "own Python function from documents to a crossrank.Retriever."
        ),
    ] = "hybrid",
    model: Model = DEFAULT_CROSS_ENCODER,
    device: Device = None,
    precision: Precision = "auto",
    embedder: Embedder = DEFAULT_BI_ENCODER,
    candidates: Annotated[int, typer.Option(help="How many candidates to rerank per query.")] = 100,
    long_documents: LongDocuments = "truncate",
    split: Annotated[str | None, typer.Option(help="The split, qrels/SPLIT.tsv; test by default.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements to replace the dataset's own.")] = None,
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
    collection = _collection(dataset, split, qrels)
    found = _candidates(collection, retrieval, embedder, candidates)
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


def _collection(dataset: Path, split: str | None, qrels: Path | None) -> Collection:
    from crossrank.evaluation import load_collection, load_qrels

    collection = load_collection(dataset, split=split)
    if qrels is None:
        return collection
    judged = load_qrels(qrels)
    queries = {query: text for query, text in collection.queries.items() if query in judged}
    return replace(collection, queries=queries, qrels={query: judged[query] for query in queries})


def _candidates(
    collection: Collection, retrieval: str, embedder: str, candidates: int
) -> Mapping[str, Sequence[Candidate]]:
    """The first stage's candidates for each query; with a run file, all of its candidates."""
    from crossrank.evaluation import candidates_of_run, read_run, retrieve_candidates

    if Path(retrieval).is_file():
        return candidates_of_run(collection, read_run(retrieval))
    with progress_bar("Indexing", len(collection.documents)) as progress:
        retriever = _retriever(collection, retrieval, embedder, progress)
    with progress_bar("Retrieving", len(collection.queries)) as progress:
        return retrieve_candidates(collection, retriever, candidates=candidates, progress=progress)


def _retriever(
    collection: Collection, retrieval: str, embedder: str, progress: Callable[[int], object] | None
) -> Retriever:
    from crossrank.inference.bi_encoder import BiEncoder
    from crossrank.retrieval.memory import MemoryRetriever

    if retrieval in _RETRIEVALS:
        return MemoryRetriever(
            collection.documents,
            retrieval=cast("Retrieval", retrieval),
            embedder=None if retrieval == "lexical" else BiEncoder(embedder),
            progress=progress,
        )
    if ":" not in retrieval:
        raise MissingFileError(
            f"--retrieval must be {', '.join(_RETRIEVALS)}, a run file, or MODULE:NAME; there is no file "
            f"{retrieval!r}"
        )
    retriever = _named(retrieval)(collection.documents)
    if not isinstance(retriever, Retriever):
        raise InputError(
            f"--retrieval {retrieval}: it gives {type(retriever).__name__}, which has no method retrieve"
        )
    return retriever


def _named(name: str) -> Callable[[Sequence[Any]], object]:
    """Import MODULE:NAME, from the working directory or an installed module."""
    module, _, attribute = name.partition(":")
    sys.path.append(str(Path.cwd()))
    try:
        return cast("Callable[[Sequence[Any]], object]", getattr(import_module(module), attribute))
    except Exception as error:  # the user's code can raise anything
        raise InputError(f"--retrieval {name}: {type(error).__name__}: {error}") from error


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
