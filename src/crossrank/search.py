"""The two stages together: retrieve candidates, then rerank them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossrank.documents import DocumentLike, Ranking, as_documents
from crossrank.errors import InputError
from crossrank.inference.activations import ActivationName
from crossrank.inference.arithmetic import Precision
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.interpolation import Interpolation
from crossrank.inference.score_cache import ScoreCacheLike
from crossrank.inference.scorer import PairScorer
from crossrank.inference.truncation import OnTruncation
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from crossrank.ranking.effort import Effort
from crossrank.ranking.long_documents import LongDocuments
from crossrank.ranking.reranker import Reranker, check_query
from crossrank.retrieval.base import Embedder, Retrieval, Retriever, Tuned, check_retrieval
from crossrank.retrieval.memory import MemoryRetriever
from crossrank.retrieval.similarity_scale import similarity_scale

DEFAULT_TOP_N = 3
"""How many hits a search returns by default."""


class Searcher:
    """Two-stage search: a first stage retrieves candidates, and a cross-encoder reranks them.

    Args:
        searched: Passages to search in memory (read files with :func:`crossrank.text.load_documents` and
            :func:`crossrank.text.split_documents`), an :class:`crossrank.Index`, or any other
            :class:`~crossrank.retrieval.base.Retriever`.
        retrieval: How to search passages in memory: by words (``lexical``), by vectors (``dense``), or both
            fused (``hybrid``, the default). For an index, pass ``index.retriever(retrieval="lexical")``
            instead.
        embedder: The bi-encoder for passages in memory, or its name or folder; the bundled one by default.
            Not loaded for ``lexical``.
        lexical_weight: Weight of the lexical ranking in ``hybrid``, relative to the dense one; 1 by default.
        model: The reranker, its cross-encoder, or the cross-encoder's name or folder.
        device: Where the cross-encoder runs; see :class:`crossrank.CrossEncoder`.
        threads: Threads for each model loaded here; by default one per available processor.
        max_length: Maximum number of tokens of a pair; see :class:`crossrank.CrossEncoder`.
        precision: The arithmetic of each model loaded here; see :class:`crossrank.CrossEncoder`.
        score_cache: See :class:`crossrank.CrossEncoder`.
        progress: Called with the number of passages embedded since the last call.

    Attributes:
        retriever: The first stage.
        reranker: The second stage.
        timings: Seconds spent on loading the models and on indexing.

    Raises:
        InputError: There are no passages, the first stage does not exist, or an option was given for a model
            or retriever that is already loaded.
        ModelError: A model cannot be loaded, or is of the wrong kind.

    Example:
        >>> searcher = Searcher(["Bees dance.", "Trains run at night.", "Bakers rise early."])
        >>> searcher.search("When do bakers get up?", top_n=1)[0].text
        'Bakers rise early.'
    """

    def __init__(
        self,
        searched: Retriever | Iterable[DocumentLike],
        *,
        retrieval: Retrieval | None = None,
        embedder: str | Path | BiEncoder | None = None,
        lexical_weight: float | None = None,
        model: str | Path | PairScorer | Reranker = DEFAULT_CROSS_ENCODER,
        device: str | None = None,
        threads: int | None = None,
        max_length: int | None = None,
        precision: Precision = "auto",
        score_cache: ScoreCacheLike = None,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        given = searched if isinstance(searched, Retriever) else None
        if given is not None and (retrieval, embedder, lexical_weight) != (None, None, None):
            raise InputError(
                "retrieval, embedder and lexical_weight are for passages in memory; give them to the "
                "retriever, such as Index(path, embedder=...).retriever(retrieval=...)"
            )
        retrieval, lexical_weight = retrieval or "hybrid", 1.0 if lexical_weight is None else lexical_weight
        check_retrieval(retrieval, lexical_weight)
        passages = as_documents(searched) if given is None else []  # type: ignore[arg-type]
        if given is None and not passages:
            raise InputError("there are no passages to search; give at least one")
        clock = _Clock()
        bi_encoder = None
        with ThreadPoolExecutor(1) as pool:  # most of the loading releases the GIL
            options = {"threads": threads, "max_length": max_length, "precision": precision}
            loading = pool.submit(_reranker, model, device=device, score_cache=score_cache, **options)
            if given is not None:
                getattr(given, "load", lambda: None)()
            elif retrieval != "lexical":
                bi_encoder = _bi_encoder(embedder, threads, precision)
            self.reranker = loading.result()
        clock.stop("models")
        if given is None:
            given = MemoryRetriever(
                passages,
                retrieval=retrieval,
                embedder=bi_encoder,
                lexical_weight=lexical_weight,
                progress=progress,
            )
        self.retriever: Retriever = given
        clock.stop("index")
        self.timings: Mapping[str, float] = clock.seconds

    def search(
        self,
        query: str,
        *,
        candidates: int = 20,
        top_n: int | None = DEFAULT_TOP_N,
        min_probability: float | None = None,
        filters: str | Iterable[str] = (),
        effort: Effort = "full",
        activation: ActivationName | None = None,
        long_documents: LongDocuments = "truncate",
        best_windows: int = 1,
        on_truncation: OnTruncation = "warn",
        explain: bool = False,
        progress: Callable[[int], object] | None = None,
    ) -> Ranking:
        """Find the best passages for a question.

        Args:
            query: The question.
            candidates: How many passages the first stage passes to the reranker.
            top_n: How many hits to return; None for all candidates.
            min_probability: Return only hits of at least this probability; none if nothing is relevant. See
                :meth:`crossrank.Reranker.rank`.
            filters: Conditions on the metadata, such as ``year>=2020``, if the retriever supports them; see
                :meth:`crossrank.Index.retrieve`.
            effort: How many of the candidates to read; see :meth:`crossrank.Reranker.rank`.
            activation: See :meth:`crossrank.Reranker.rank`; the next four, too.
            long_documents: How to read passages that are longer than the model reads.
            best_windows: How many windows of a passage count.
            on_truncation: What to do if a passage is not read to its end.
            explain: Whether hits have the sentences and words that their score comes from.
            progress: Called with the number of candidates scored since the last call.

        Returns:
            The ranking; ``timings`` has ``first_stage`` and ``rerank``, in seconds.

        Raises:
            InputError: The question is empty, a number is below 1, or the retriever does not support filters.
            UncalibratedError: See :meth:`crossrank.Reranker.rank`.
        """
        check_query(query)
        if candidates < 1:
            raise InputError(f"candidates must be at least 1; it is {candidates}")
        clock = _Clock()
        found = self.retriever.retrieve(query, candidates, filters=filters)
        clock.stop("first_stage")
        ranking = self.reranker.rank(
            query,
            found,
            top_n=top_n,
            min_probability=min_probability,
            interpolation=interpolation_for(self.retriever, self.reranker.model),
            effort=effort,
            activation=activation,
            long_documents=long_documents,
            best_windows=best_windows,
            on_truncation=on_truncation,
            explain=explain,
            progress=progress,
        )
        return replace(ranking, timings={**clock.seconds, **ranking.timings})

    async def asearch(self, query: str, **options: Any) -> Ranking:
        """:meth:`search` in another thread, without blocking the event loop."""
        return await asyncio.to_thread(self.search, query, **options)


def interpolation_for(retriever: Retriever, model: PairScorer) -> Interpolation | None:
    """The weights to rank a first stage's candidates by.

    Those that the first stage keeps for the model, unless they are for another embedder, which it had when
    they were learnt; otherwise the model's own, rescaled.

    Raises:
        InputError: There is no index, or what it keeps is damaged.
        ModelError: The first stage's embedder cannot be loaded.
    """
    kept = retriever.interpolations() if isinstance(retriever, Tuned) else {}
    found = kept.get(model.fingerprint) if kept else None
    if found is not None:
        embedder = _embedder(retriever)
        if embedder is None or found.fingerprint in {"", embedder.fingerprint}:
            return found
    return rescaled_interpolation(retriever, model)


def rescaled_interpolation(retriever: Retriever, model: PairScorer) -> Interpolation | None:
    """A model's own weights, for the similarities of a first stage.

    If the weights are for another embedder's similarities, they are rescaled: a similarity then counts by its
    distance from its embedder's mean, in standard deviations, over the sample texts. The first stage's
    embedder has to be its attribute ``embedder``, as in crossrank's own.

    Returns:
        The weights; the model's own where nothing has to be rescaled, or nothing can be.

    Raises:
        InputError: There is no index.
        ModelError: The first stage's embedder cannot be loaded.

    Example:
        >>> from crossrank import BiEncoder, CrossEncoder
        >>> first_stage = MemoryRetriever(["Bees dance."], embedder=BiEncoder())
        >>> model = CrossEncoder()
        >>> rescaled_interpolation(first_stage, model) == model.interpolation
        True
    """
    own = model.interpolation
    if own is None or own.scale is None:
        return own
    embedder = _embedder(retriever)
    if embedder is None or embedder.fingerprint == own.fingerprint:
        return own
    scale = similarity_scale(embedder)
    return own if scale is None else own.rescaled_for(embedder.fingerprint, scale)


def _embedder(retriever: Retriever) -> Embedder | None:
    """A first stage's embedder; None if it has none, or one of another make."""
    embedder = getattr(retriever, "embedder", None)
    return embedder if isinstance(embedder, Embedder) else None


def _reranker(model: str | Path | PairScorer | Reranker, **options: Any) -> Reranker:
    if not isinstance(model, Reranker):
        return Reranker(model, **options)
    if any(option not in {None, "auto"} for option in options.values()):
        raise InputError("the reranker is loaded already; give its options to it")
    return model


def _bi_encoder(
    embedder: str | Path | BiEncoder | None, threads: int | None, precision: Precision
) -> BiEncoder:
    if isinstance(embedder, BiEncoder):
        return embedder
    return BiEncoder(embedder or DEFAULT_BI_ENCODER, threads=threads, precision=precision)


class _Clock:
    """A stopwatch: the seconds between stops, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now
