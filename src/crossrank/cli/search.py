"""crossrank search, rerank and demo: a question in, a ranking out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from crossrank.cli.options import (
    AsJson,
    Candidates,
    Embedder,
    Model,
    PassagesFile,
    Query,
    RetrievalOption,
    TopN,
    TopNOfAll,
)
from crossrank.cli.output import notify, print_before_and_after, print_json, print_ranking, progress_bar
from crossrank.documents import Document, Ranking
from crossrank.errors import InputError
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from crossrank.retrieval.base import Retrieval

# The sample texts, paragraph by paragraph.
_SAMPLES = Path(__file__).parents[1] / "samples" / "judged" / "corpus.jsonl"
_SAMPLE_QUESTION = "Where should potatoes be kept over winter, and why not somewhere very cold?"


def search(
    query: Query,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", show_default=False)],
    candidates: Candidates = 20,
    top_n: TopN = 3,
    model: Model = DEFAULT_CROSS_ENCODER,
    embedder: Embedder = DEFAULT_BI_ENCODER,
    retrieval: RetrievalOption = "hybrid",
    chunk_size: Annotated[int, typer.Option(help="The longest passage, in characters.")] = 500,
    chunk_overlap: Annotated[int, typer.Option(help="Characters repeated between passages.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Answer a question from text files: fetch candidates, rerank them, show the best.

    Reads text, Markdown, JSON Lines, and folders of them.

    Example: crossrank search "What is the plan for the economy?" notes/ speech.txt --top-n 5
    """
    _check_numbers(candidates, top_n)
    ranking = _search(query, paths, candidates, model, embedder, retrieval, (chunk_size, chunk_overlap))
    shown = replace(ranking, hits=ranking.hits[:top_n])
    print_json(shown.to_dict()) if as_json else print_ranking(shown)


def demo(
    query: Annotated[str, typer.Argument(help="A question to the sample texts.")] = _SAMPLE_QUESTION,
    as_json: AsJson = False,
) -> None:
    """Ask the sample texts that come with crossrank, and see the ranking before and after.

    Example: crossrank demo "How is vaccine kept cold?"
    """
    ranking = _search(query, [_SAMPLES], 20, DEFAULT_CROSS_ENCODER, DEFAULT_BI_ENCODER, "hybrid")
    shown = replace(ranking, hits=ranking.hits[:3])
    if as_json:
        print_json(shown.to_dict())
    else:
        print_before_and_after(sorted(ranking, key=lambda hit: hit.first_stage_rank)[:3], shown)


def rerank(
    query: Query,
    file: PassagesFile,
    top_n: TopNOfAll = None,
    model: Model = DEFAULT_CROSS_ENCODER,
    as_json: AsJson = False,
) -> None:
    """Rank given passages, in the order of a first stage of your own, for a question.

    Example: crossrank rerank "Who bakes bread?" candidates.jsonl --top-n 3 --json
    """
    if top_n is not None:
        _check_numbers(1, top_n)
    from crossrank.ranking.reranker import Reranker, check_query
    from crossrank.text.passages import read_passages

    check_query(query)
    started = time.perf_counter()
    passages = read_passages(sys.stdin.buffer.read() if str(file) == "-" else file)
    loaded = time.perf_counter()
    reranker = Reranker(model)
    models = time.perf_counter()
    with progress_bar("Ranking", len(passages)) as progress:
        ranking = reranker.rank(query, passages, top_n=top_n, progress=progress)
    timings = {"load": loaded - started, "models": models - loaded, **ranking.timings}
    ranking = replace(ranking, timings=timings)
    print_json(ranking.to_dict()) if as_json else print_ranking(ranking)


def _search(
    query: str,
    paths: Sequence[Path],
    candidates: int,
    model: str,
    embedder: str,
    retrieval: Retrieval,
    chunks: tuple[int, int] | None = None,
) -> Ranking:
    """All candidates, ranked; the commands cut. Without ``chunks``, documents are passages as they are."""
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
        searcher = Searcher(passages, retrieval=retrieval, embedder=embedder, model=model, progress=progress)
    with progress_bar("Ranking", candidates) as progress:
        ranking = searcher.search(query, candidates=candidates, top_n=None, progress=progress)
    return replace(ranking, timings={"load": seconds, **searcher.timings, **ranking.timings})


def _check_numbers(candidates: int, top_n: int) -> None:
    if candidates < 1:
        raise InputError(f"--candidates must be at least 1; it is {candidates}")
    if top_n < 1:
        raise InputError(f"--top-n must be at least 1; it is {top_n}")
