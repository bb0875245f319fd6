"""The two stages together: fetch candidates, then rerank them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, get_args

from crossrank.documents import Document, DocumentLike, Ranking, as_documents
from crossrank.errors import InputError
from crossrank.index import Index
from crossrank.inference.activations import ActivationName
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from crossrank.ranking.reranker import Reranker, check_query
from crossrank.retrieval.base import Candidate, FirstStage, Retrieval
from crossrank.retrieval.bm25 import BM25Index
from crossrank.retrieval.first_stage import DenseFirstStage, HybridFirstStage, LexicalFirstStage, words_of


class Searcher:
    """Searches an index, or passages held in memory: a first stage fetches, a cross-encoder ranks.

    Args:
        passages: An :class:`crossrank.Index`, or what is searched itself; see
            :func:`crossrank.text.load_documents` and :func:`crossrank.text.split_documents` for files.
        retrieval: The first stage: BM25 (``lexical``), vectors (``dense``), or both fused (``hybrid``).
        embedder: The bi-encoder, or its name or folder; the bundled one by default. Not loaded for
            ``lexical``; an index has its own.
        model: The reranker, or the name or folder of its cross-encoder.
        lexical_weight: How much a rank by words counts beside a rank by vectors, where both are fused.
        progress: Called with the number of passages embedded since the last call.

    Attributes:
        timings: Seconds that it took to load the models and to index.

    Raises:
        InputError: There are no passages or no such first stage, or an embedder was given for an index.
        ModelError: A model cannot be loaded or is not what was asked for.

    Example:
        >>> searcher = Searcher(["Bees dance.", "Trains run at night.", "Bakers rise early."])
        >>> searcher.search("When do bakers get up?", top_n=1)[0].text
        'Bakers rise early.'
    """

    def __init__(
        self,
        passages: Iterable[DocumentLike] | Index,
        *,
        retrieval: Retrieval = "hybrid",
        embedder: str | Path | BiEncoder | None = None,
        model: str | Path | Reranker = DEFAULT_CROSS_ENCODER,
        lexical_weight: float = 1.0,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        if retrieval not in get_args(Retrieval):
            raise InputError(
                f"retrieval must be one of {', '.join(get_args(Retrieval))}; it is {retrieval!r}"
            )
        if not 0 < lexical_weight < float("inf"):
            raise InputError(f"lexical_weight must be above 0; it is {lexical_weight}")
        if isinstance(passages, Index) and embedder is not None:
            raise InputError("an index searches with its own embedder; give the embedder to Index")
        given = passages if isinstance(passages, Index) else as_documents(passages)
        if not isinstance(given, Index) and not given:
            raise InputError("there are no passages to search; give at least one")
        clock = _Clock()
        bi_encoder = None
        with ThreadPoolExecutor(1) as beside:  # most of the loading is done outside of Python
            loading = beside.submit(_reranker, model)
            if retrieval != "lexical":
                bi_encoder = given.embedder if isinstance(given, Index) else _bi_encoder(embedder)
            self.reranker = loading.result()
        own = self.reranker.model.interpolation
        self._takes_similarities = (
            own is not None and bi_encoder is not None and own.embedder == bi_encoder.name
        )
        takes_words = own is not None and own.takes_words
        clock.stop("models")
        self._candidates: _Candidates
        if isinstance(given, Index):
            self._candidates = partial(
                given.find,
                retrieval=retrieval,
                lexical_weight=lexical_weight,
                word_matches=takes_words,
            )
        else:
            stage = _first_stage(given, retrieval, bi_encoder, lexical_weight, progress)
            self._candidates = partial(_find, given, stage, words_of(given, stage) if takes_words else None)
        clock.stop("index")
        self.timings: Mapping[str, float] = clock.seconds

    def search(
        self,
        query: str,
        *,
        candidates: int = 20,
        top_n: int | None = 3,
        filters: str | Iterable[str] = (),
        activation: ActivationName | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Ranking:
        """Answer a question with the best passages.

        Args:
            query: The question.
            candidates: How many passages the first stage hands to the reranker.
            top_n: How many hits to return; None for all candidates.
            filters: Of an index, conditions on the metadata, such as ``year>=2020``; see
                :meth:`crossrank.Index.find`.
            activation: As for :meth:`crossrank.Reranker.rank`.
            progress: Called with the number of candidates scored since the last call.

        Returns:
            The ranking; ``timings`` has ``first_stage`` and ``rerank``, in seconds.

        Raises:
            InputError: The question is empty, a number is below 1, or there are filters and no index.
        """
        check_query(query)
        if candidates < 1:
            raise InputError(f"candidates must be at least 1; it is {candidates}")
        clock = _Clock()
        found = self._candidates(query, candidates, filters=filters)
        clock.stop("first_stage")
        ranking = self.reranker.rank(
            query,
            [document for document, _ in found],
            top_n=top_n,
            activation=activation,
            first_stage_scores=[candidate.score for _, candidate in found],
            similarities=[candidate.similarity for _, candidate in found]
            if self._takes_similarities
            else None,
            word_matches=[candidate.word_match for _, candidate in found],
            progress=progress,
        )
        hits = tuple(replace(hit, stage_ranks=found[hit.first_stage_rank - 1][1].ranks) for hit in ranking)
        return replace(ranking, hits=hits, timings={**clock.seconds, **ranking.timings})

    async def asearch(self, query: str, **options: Any) -> Ranking:
        """:meth:`search` on another thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.search, query, **options)


class _Candidates(Protocol):
    """Fetches passages and what is known of them, best first."""

    def __call__(
        self, query: str, k: int, *, filters: str | Iterable[str]
    ) -> list[tuple[Document, Candidate]]: ...


def _find(
    passages: list[Document],
    stage: FirstStage,
    words: BM25Index | None,
    query: str,
    k: int,
    *,
    filters: str | Iterable[str],
) -> list[tuple[Document, Candidate]]:
    if filters:
        raise InputError("filters need an index; make one with crossrank index add, or leave them out")
    found = stage.search(query, k)
    if words is not None:
        matches = words.word_matches(query, [candidate.position for candidate in found])
        found = [replace(c, word_match=match) for c, match in zip(found, matches, strict=True)]
    return [(passages[candidate.position], candidate) for candidate in found]


def _reranker(model: str | Path | Reranker) -> Reranker:
    return model if isinstance(model, Reranker) else Reranker(model)


def _bi_encoder(embedder: str | Path | BiEncoder | None) -> BiEncoder:
    return embedder if isinstance(embedder, BiEncoder) else BiEncoder(embedder or DEFAULT_BI_ENCODER)


def _first_stage(
    passages: list[Document],
    retrieval: Retrieval,
    bi_encoder: Any,
    lexical_weight: float,
    progress: Callable[[int], object] | None,
) -> FirstStage:
    if retrieval == "lexical":
        return LexicalFirstStage(passages)
    if retrieval == "dense":
        return DenseFirstStage(passages, bi_encoder, progress=progress)
    return HybridFirstStage(passages, bi_encoder, lexical_weight=lexical_weight, progress=progress)


class _Clock:
    """Names the seconds that pass between its stops."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now
