"""The two stages together: fetch candidates, then rerank them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from crossrank.documents import Document, DocumentLike, Ranking, as_documents
from crossrank.errors import InputError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.scores import ActivationName
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from crossrank.ranking.reranker import Reranker, check_query
from crossrank.retrieval.base import FirstStage, Retrieval
from crossrank.retrieval.first_stage import DenseFirstStage, HybridFirstStage, LexicalFirstStage


class Searcher:
    """Searches passages held in memory: a first stage fetches candidates, a cross-encoder ranks them.

    Args:
        passages: What is searched; see :func:`crossrank.text.load_documents` and
            :func:`crossrank.text.split_documents` for files.
        retrieval: The first stage: BM25 (``lexical``), vectors (``dense``), or both fused (``hybrid``).
        embedder: The bi-encoder, or its name or folder; not loaded for ``lexical``.
        model: The reranker, or the name or folder of its cross-encoder.
        progress: Called with the number of passages embedded since the last call.

    Attributes:
        timings: Seconds that it took to load the models and to index.

    Raises:
        InputError: There are no passages, or there is no such first stage.
        ModelError: A model cannot be loaded or is not what was asked for.

    Example:
        >>> searcher = Searcher(["Bees dance.", "Trains run at night.", "Bakers rise early."])
        >>> searcher.search("When do bakers get up?", top_n=1)[0].text
        'Bakers rise early.'
    """

    def __init__(
        self,
        passages: Iterable[DocumentLike],
        *,
        retrieval: Retrieval = "hybrid",
        embedder: str | Path | BiEncoder = DEFAULT_BI_ENCODER,
        model: str | Path | Reranker = DEFAULT_CROSS_ENCODER,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self.passages = as_documents(passages)
        if not self.passages:
            raise InputError("there are no passages to search; give at least one")
        if retrieval not in get_args(Retrieval):
            raise InputError(
                f"retrieval must be one of {', '.join(get_args(Retrieval))}; it is {retrieval!r}"
            )
        clock = _Clock()
        self.reranker = model if isinstance(model, Reranker) else Reranker(model)
        bi_encoder = None
        if retrieval != "lexical":
            bi_encoder = embedder if isinstance(embedder, BiEncoder) else BiEncoder(embedder)
        own = self.reranker.model.interpolation
        self._interpolates = own is not None and bi_encoder is not None and own.embedder == bi_encoder.name
        clock.stop("models")
        self._first_stage = _first_stage(self.passages, retrieval, bi_encoder, progress)
        clock.stop("index")
        self.timings: Mapping[str, float] = clock.seconds

    def search(
        self,
        query: str,
        *,
        candidates: int = 20,
        top_n: int | None = 3,
        activation: ActivationName | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Ranking:
        """Answer a question with the best passages.

        Args:
            query: The question.
            candidates: How many passages the first stage hands to the reranker.
            top_n: How many hits to return; None for all candidates.
            activation: As for :meth:`crossrank.Reranker.rank`.
            progress: Called with the number of candidates scored since the last call.

        Returns:
            The ranking; ``timings`` has ``first_stage`` and ``rerank``, in seconds.

        Raises:
            InputError: The question is empty, or a number is below 1.
        """
        check_query(query)
        if candidates < 1:
            raise InputError(f"candidates must be at least 1; it is {candidates}")
        clock = _Clock()
        found = self._first_stage.search(query, candidates)
        clock.stop("first_stage")
        ranking = self.reranker.rank(
            query,
            [self.passages[candidate.position] for candidate in found],
            top_n=top_n,
            activation=activation,
            first_stage_scores=[candidate.score for candidate in found],
            similarities=[candidate.similarity for candidate in found] if self._interpolates else None,
            progress=progress,
        )
        return replace(ranking, timings={**clock.seconds, **ranking.timings})

    async def asearch(self, query: str, **options: Any) -> Ranking:
        """:meth:`search` on another thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.search, query, **options)


def _first_stage(
    passages: list[Document],
    retrieval: Retrieval,
    bi_encoder: Any,
    progress: Callable[[int], object] | None,
) -> FirstStage:
    if retrieval == "lexical":
        return LexicalFirstStage(passages)
    kind = DenseFirstStage if retrieval == "dense" else HybridFirstStage
    return kind(passages, bi_encoder, progress=progress)


class _Clock:
    """Names the seconds that pass between its stops."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now
