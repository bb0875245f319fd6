"""What commands over judged collections have in common: options, and the first stage's candidates."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast, get_args

import typer

from crossrank.cli.output import progress_bar
from crossrank.errors import InputError, MissingFileError
from crossrank.retrieval.base import Retrieval, Retriever

if TYPE_CHECKING:
    from crossrank.documents import Candidate
    from crossrank.evaluation import Collection
    from crossrank.index import Index

_RETRIEVALS = get_args(Retrieval)

Dataset: TypeAlias = Annotated[
    Path,
    typer.Argument(help="Folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels/.", show_default=False),
]
FirstStage: TypeAlias = Annotated[
    str,
    typer.Option(
        help="The first stage: hybrid, dense or lexical; a run file (TREC format); or MODULE:NAME, your own "
        "Python function from documents to a crossrank.Retriever."
    ),
]
Split: TypeAlias = Annotated[str | None, typer.Option(help="The split, qrels/SPLIT.tsv; test by default.")]
Judgements: TypeAlias = Annotated[Path | None, typer.Option(help="Judgements to replace the dataset's own.")]


def judged_collection(dataset: Path, split: str | None, qrels: Path | None) -> Collection:
    """A judged collection, with other judgements if they are given."""
    from crossrank.evaluation import load_collection, load_qrels

    collection = load_collection(dataset, split=split)
    if qrels is None:
        return collection
    judged = load_qrels(qrels)
    queries = {query: text for query, text in collection.queries.items() if query in judged}
    return replace(collection, queries=queries, qrels={query: judged[query] for query in queries})


def first_stage_candidates(
    collection: Collection, retrieval: str, embedder: str, candidates: int
) -> tuple[Retriever | None, Mapping[str, Sequence[Candidate]]]:
    """The first stage and its candidates for each query; for a run file, None and all of its candidates."""
    from crossrank.evaluation import candidates_of_run, read_run, retrieve_candidates

    if Path(retrieval).is_file():
        return None, candidates_of_run(collection, read_run(retrieval))
    with progress_bar("Indexing", len(collection.documents)) as progress:
        retriever = _retriever(collection, retrieval, embedder, progress)
    with progress_bar("Retrieving", len(collection.queries)) as progress:
        found = retrieve_candidates(collection, retriever, candidates=candidates, progress=progress)
    return retriever, found


def some_queries(collection: Collection, count: int | None) -> Collection:
    """The collection with at most this many of its queries, drawn by chance; None for all."""
    if count is None or count >= len(collection.queries):
        return collection
    if count < 1:
        raise InputError(f"--queries must be at least 1; it is {count}")
    chosen = set(random.Random(0).sample(sorted(collection.queries), count))
    return replace(
        collection,
        queries={query: text for query, text in collection.queries.items() if query in chosen},
        qrels={query: grades for query, grades in collection.qrels.items() if query in chosen},
    )


def measured(report: Mapping[str, Any]) -> str:
    """The first line of a report: what was measured."""
    return (
        f"{report['dataset']}: {report['queries']} queries, {report['candidates']} candidates each, "
        f"{report['model']}"
    )


def index_candidates(
    collection: Collection, index: Index, retrieval: str, candidates: int
) -> tuple[Retriever, Mapping[str, Sequence[Candidate]]]:
    """An index as a first stage, and its candidates for each query, with the ids that the judgements have."""
    from crossrank.evaluation import retrieve_candidates
    from crossrank.evaluation.indexed import JudgedIndex

    if retrieval not in _RETRIEVALS:
        raise InputError(f"with --index, --retrieval must be {', '.join(_RETRIEVALS)}; it is {retrieval!r}")
    judged = {name for grades in collection.qrels.values() for name in grades}
    retriever = index.retriever(retrieval=cast("Retrieval", retrieval))
    with progress_bar("Retrieving", len(collection.queries)) as progress:
        found = retrieve_candidates(
            collection, JudgedIndex(retriever, judged), candidates=candidates, progress=progress
        )
    if not any(one.document.id in judged for row in found.values() for one in row):
        raise InputError(
            f"{index.path} found no document that {collection.name} judges; add the collection's "
            "corpus.jsonl to the index, or judge documents by the names of its files"
        )
    return retriever, found


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
