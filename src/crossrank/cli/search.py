"""crossrank search, rerank and demo: a question in, a ranking out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossrank.cli.options import (
    AsJson,
    BestWindows,
    Candidates,
    Device,
    Effort,
    Explain,
    LongDocuments,
    MinProbability,
    Model,
    OnTruncation,
    PassagesFile,
    Precision,
    Query,
    RetrievalOption,
    ScoreCacheOption,
    TopN,
    TopNOfAll,
    given_path,
)
from crossrank.cli.output import notify, notify_of_cache, print_json, print_ranking, progress_bar
from crossrank.documents import Document, Ranking
from crossrank.errors import InputError
from crossrank.inference.arithmetic import Precision as PrecisionName
from crossrank.inference.truncation import OnTruncation as OnTruncationName
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from crossrank.ranking.effort import Effort as EffortName
from crossrank.ranking.long_documents import LongDocuments as LongDocumentsName
from crossrank.retrieval.base import Retrieval

if TYPE_CHECKING:
    from crossrank.search import Searcher

# The sample texts, paragraph by paragraph.
_SAMPLES = Path(__file__).parents[1] / "samples" / "judged" / "corpus.jsonl"
_SAMPLE_QUESTION = "Where should potatoes be kept over winter, and why not somewhere very cold?"


def search(
    query: Query,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files and folders.", parser=given_path, metavar="PATHS", show_default=False),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="INDEX",
            help="Search this index instead of files (see crossrank index add).",
        ),
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="With --index: a condition on the metadata, such as 'year>=2020'."),
    ] = None,
    candidates: Candidates = 20,
    top_n: TopN = 3,
    min_probability: MinProbability = None,
    model: Model = DEFAULT_CROSS_ENCODER,
    device: Device = None,
    precision: Precision = "auto",
    embedder: Annotated[
        str | None,
        typer.Option(
            help=f"Bi-encoder: bundled ({DEFAULT_BI_ENCODER}), a folder, or a Hub name.",
            show_default=f"{DEFAULT_BI_ENCODER}, or the index's own",
        ),
    ] = None,
    retrieval: RetrievalOption = "hybrid",
    lexical_weight: Annotated[
        float, typer.Option(help="For hybrid: weight of the lexical ranking, relative to the dense one.")
    ] = 1.0,
    chunk_size: Annotated[
        int | None,
        typer.Option(help="For files: maximum length of a passage in characters.", show_default="500"),
    ] = None,
    chunk_overlap: Annotated[
        int | None, typer.Option(help="For files: characters that passages overlap.", show_default="100")
    ] = None,
    effort: Effort = "full",
    long_documents: LongDocuments = "truncate",
    best_windows: BestWindows = 1,
    on_truncation: OnTruncation = "warn",
    explain: Explain = False,
    score_cache: ScoreCacheOption = None,
    as_json: AsJson = False,
) -> None:
    """Search files, or an index of them, for a question: retrieve candidates, rerank them, show the best.

    Reads text, Markdown, HTML, PDF, Word (.docx), CSV, JSON Lines, and folders of them.

    Example: crossrank search "What is the plan for the economy?" notes/ speech.txt --top-n 5

    Example: crossrank search "What is the plan for the economy?" --index my-index --filter 'year>=2020'
    """
    _check_numbers(candidates, top_n)
    reading = _Reading(long_documents, best_windows, on_truncation, explain)
    stages = _Stages(
        candidates,
        model,
        retrieval,
        lexical_weight,
        device,
        precision,
        top_n,
        effort,
        reading,
        min_probability,
        score_cache,
    )
    if index is not None:
        if paths or chunk_size is not None or chunk_overlap is not None:
            raise InputError("--index searches what the index holds; leave files and --chunk-... out")
        ranking = _search_index(query, index, embedder, filters or [], stages)
    elif not paths:
        raise InputError("name files or folders to search, or an index: --index INDEX")
    elif filters:
        raise InputError("--filter needs --index; make an index with crossrank index add")
    else:
        ranking = _search(query, paths, embedder, stages, (chunk_size, chunk_overlap))
    print_ranking(ranking, as_json=as_json)


def demo(
    query: Annotated[str, typer.Argument(help="A question about the sample texts.")] = _SAMPLE_QUESTION,
    as_json: AsJson = False,
) -> None:
    """Search the sample texts that come with crossrank, and compare the ranking before and after reranking.

    Example: crossrank demo "How is vaccine kept cold?"
    """
    ranking = _search(query, [_SAMPLES], None, _Stages(20, DEFAULT_CROSS_ENCODER, "hybrid", 1.0))
    shown = replace(ranking, hits=ranking.hits[:3])
    if as_json:
        print_json(shown.to_dict())
    else:
        from crossrank.cli.screen import show_before_and_after

        show_before_and_after(sorted(ranking, key=lambda hit: hit.candidate.rank)[:3], shown)


def rerank(
    query: Query,
    file: PassagesFile,
    top_n: TopNOfAll = None,
    min_probability: MinProbability = None,
    model: Model = DEFAULT_CROSS_ENCODER,
    device: Device = None,
    precision: Precision = "auto",
    long_documents: LongDocuments = "truncate",
    best_windows: BestWindows = 1,
    on_truncation: OnTruncation = "warn",
    explain: Explain = False,
    score_cache: ScoreCacheOption = None,
    as_json: AsJson = False,
) -> None:
    """Rerank passages for a question; the passages are in the order of your own first stage.

    Example: crossrank rerank "Who bakes bread?" candidates.jsonl --top-n 3 --json

    Example: crossrank rerank "Who bakes bread?" books.jsonl --long-documents windows --explain
    """
    if top_n is not None:
        _check_numbers(1, top_n)
    from crossrank.ranking.reranker import Reranker, check_query
    from crossrank.text.passages import read_passages

    check_query(query)
    started = time.perf_counter()
    passages = read_passages(sys.stdin.buffer.read() if str(file) == "-" else file)
    loaded = time.perf_counter()
    reranker = Reranker(model, device=device, precision=precision, score_cache=score_cache)
    models = time.perf_counter()
    with progress_bar("Ranking", len(passages)) as progress:
        ranking = reranker.rank(
            query,
            passages,
            top_n=top_n,
            min_probability=min_probability,
            long_documents=long_documents,
            best_windows=best_windows,
            on_truncation=on_truncation,
            explain=explain,
            progress=progress,
        )
    timings = {"load": loaded - started, "models": models - loaded, **ranking.timings}
    ranking = replace(ranking, timings=timings)
    print_ranking(ranking, as_json=as_json)
    notify_of_cache(reranker.model.score_cache)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the reranker reads."""

    long_documents: LongDocumentsName = "truncate"
    best_windows: int = 1
    on_truncation: OnTruncationName = "warn"
    explain: bool = False


@dataclass(frozen=True, slots=True)
class _Stages:
    """How to search."""

    candidates: int
    model: str
    retrieval: Retrieval
    lexical_weight: float
    device: str | None = None
    precision: PrecisionName = "auto"
    top_n: int | None = None
    effort: EffortName = "full"
    reading: _Reading = _Reading()
    min_probability: float | None = None
    score_cache: Path | None = None


def _search_index(
    query: str, index: Path, embedder: str | None, filters: Sequence[str], stages: _Stages
) -> Ranking:
    """Search an index."""
    from crossrank.index import Index
    from crossrank.ranking.reranker import check_query
    from crossrank.search import Searcher

    check_query(query)
    retriever = Index(index, embedder=embedder).retriever(
        retrieval=stages.retrieval, lexical_weight=stages.lexical_weight
    )
    with progress_bar("Loading", None):
        searcher = Searcher(
            retriever,
            model=stages.model,
            device=stages.device,
            precision=stages.precision,
            score_cache=stages.score_cache,
        )
    return _ranked(query, searcher, stages, filters)


def _search(
    query: str,
    paths: Sequence[Path],
    embedder: str | None,
    stages: _Stages,
    chunks: tuple[int | None, int | None] | None = None,
) -> Ranking:
    """Search documents. Without ``chunks``, they are not split."""
    from crossrank.ranking.reranker import check_query
    from crossrank.search import Searcher
    from crossrank.text import load_documents, split_documents

    check_query(query)
    started = time.perf_counter()
    loaded = load_documents(paths)
    for line in (*loaded.skipped, *loaded.repaired):
        notify(line)
    passages: Sequence[Document] = loaded.documents
    if chunks is not None:
        passages = split_documents(loaded.documents, chunk_size=chunks[0], chunk_overlap=chunks[1])
    seconds = time.perf_counter() - started
    with progress_bar("Indexing", len(passages)) as progress:
        searcher = Searcher(
            passages,
            retrieval=stages.retrieval,
            embedder=embedder,
            lexical_weight=stages.lexical_weight,
            model=stages.model,
            device=stages.device,
            precision=stages.precision,
            score_cache=stages.score_cache,
            progress=progress,
        )
    ranking = _ranked(query, searcher, stages)
    return replace(ranking, timings={"load": seconds, **ranking.timings})


def _ranked(query: str, searcher: Searcher, stages: _Stages, filters: Sequence[str] = ()) -> Ranking:
    with progress_bar("Ranking", stages.candidates) as progress:
        ranking = searcher.search(
            query,
            candidates=stages.candidates,
            top_n=stages.top_n,
            min_probability=stages.min_probability,
            filters=filters,
            effort=stages.effort,
            **asdict(stages.reading),
            progress=progress,
        )
    notify_of_cache(searcher.reranker.model.score_cache)
    return replace(ranking, timings={**searcher.timings, **ranking.timings})


def _check_numbers(candidates: int, top_n: int) -> None:
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1; it is {candidates}")
    if top_n < 1:
        raise InputError(f"--top-n must be at least 1; it is {top_n}")
