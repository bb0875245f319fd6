"""The reranker: candidates in, a ranking with its scores out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossrank.documents import Document, DocumentLike, Hit, Ranking, as_documents
from crossrank.errors import InputError
from crossrank.inference.activations import Activation
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.scorer import PairScorer, for_ranking
from crossrank.inference.scores import Weights
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.text.readability import unreadable_share

# A text counts as unreadable where more than this share of its letters is in scripts that the model was
# not trained on, or of its tokens is unknown to the model's vocabulary.
_UNREADABLE = 0.5
_NO_LOGITS = np.empty(0, np.float32)


class Reranker:
    """Ranks candidates with a cross-encoder and keeps the scores.

    One object serves any number of threads, and, unless it is on a GPU, processes forked off it.

    Args:
        model: A cross-encoder, here or on an endpoint, or the name or folder of one.
        threads: Processors to use, where the model is loaded here; by default all available.
        device: As for :class:`crossrank.CrossEncoder`, where the model is loaded here.

    Raises:
        ModelError: The model cannot be loaded, or is no reranker.
        InputError: There is no such device.
        MissingExtraError: The device or the model needs PyTorch, which is not installed.

    Example:
        >>> ranking = Reranker().rank("Who bakes bread?", ["A tide table.", "Bakers bake bread."])
        >>> [(hit.rank, hit.text, hit.first_stage_rank) for hit in ranking]
        [(1, 'Bakers bake bread.', 2), (2, 'A tide table.', 1)]
    """

    def __init__(
        self,
        model: str | Path | PairScorer = DEFAULT_CROSS_ENCODER,
        *,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        if not isinstance(model, PairScorer):
            model = CrossEncoder(model, threads=threads, device=device)
        self.model = for_ranking(model)

    def rank(
        self,
        query: str,
        documents: Iterable[DocumentLike],
        *,
        top_n: int | None = None,
        activation: Activation | None = None,
        first_stage_scores: Sequence[float] | None = None,
        similarities: Sequence[float | None] | None = None,
        word_matches: Sequence[float | None] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Ranking:
        """Rank the candidates of one query.

        Candidates with equal logits keep their order. A candidate that the model cannot read (another
        script, unknown tokens) is not scored: it follows the others, in the order it came in. If that is
        so of the query, all candidates keep their order.

        Args:
            query: The question.
            documents: The candidates, in first-stage order.
            top_n: Return the best so many; all by default.
            activation: From logit to score; the model's own by default, ``"none"`` for logits.
            first_stage_scores: What the first stage gave each candidate; kept in the hits.
            similarities: What the bi-encoder that ``model.interpolation`` names gave each candidate. If it
                gave all of them one, and the model has weights for it, ranking and score go by logit and
                similarity together.
            word_matches: BM25 of each candidate as a share of the best passage's; added as similarities are.
            progress: Called with the number of candidates scored since the last call.

        Returns:
            The ranking; empty where there are no candidates. ``timings`` has ``rerank``, in seconds.

        Raises:
            InputError: The query is empty, ``top_n`` is below 1, or a candidate is no document.
        """
        given = as_documents(documents)
        scores = None if first_stage_scores is None else [first_stage_scores]
        near = None if similarities is None else [similarities]
        words = None if word_matches is None else [word_matches]
        return self._rank([query], [given], top_n, activation, scores, near, words, progress)[0]

    def rank_many(
        self,
        queries: Sequence[str],
        documents: Sequence[Iterable[DocumentLike]],
        *,
        top_n: int | None = None,
        activation: Activation | None = None,
        first_stage_scores: Sequence[Sequence[float]] | None = None,
        similarities: Sequence[Sequence[float | None]] | None = None,
        word_matches: Sequence[Sequence[float | None]] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> list[Ranking]:
        """Rank the candidates of many queries, batched together.

        Args:
            queries: The questions.
            documents: The candidates of each, in first-stage order.
            top_n: As for :meth:`rank`.
            activation: As for :meth:`rank`.
            first_stage_scores: As for :meth:`rank`, one sequence a query.
            similarities: As for :meth:`rank`, one sequence a query.
            word_matches: As for :meth:`rank`, one sequence a query.
            progress: As for :meth:`rank`.

        Returns:
            One ranking a query, in order; the scores are those that :meth:`rank` gives.

        Raises:
            InputError: As for :meth:`rank`; or the numbers of queries and lists differ.
        """
        if isinstance(queries, str):
            raise InputError("queries must be a list; a single string was given. Use rank for one query.")
        given = [as_documents(candidates) for candidates in documents]
        if len(queries) != len(given):
            raise InputError(f"there are {len(queries)} queries and {len(given)} lists of candidates")
        return self._rank(
            queries, given, top_n, activation, first_stage_scores, similarities, word_matches, progress
        )

    async def arank(self, query: str, documents: Iterable[DocumentLike], **options: Any) -> Ranking:
        """:meth:`rank` on another thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.rank, query, documents, **options)

    async def arank_many(
        self, queries: Sequence[str], documents: Sequence[Iterable[DocumentLike]], **options: Any
    ) -> list[Ranking]:
        """:meth:`rank_many` on another thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.rank_many, queries, documents, **options)

    def _rank(
        self,
        queries: Sequence[str],
        documents: list[list[Document]],
        top_n: int | None,
        activation: Activation | None,
        first_stage_scores: Sequence[Sequence[float]] | None,
        similarities: Sequence[Sequence[float | None]] | None,
        word_matches: Sequence[Sequence[float | None]] | None,
        progress: Callable[[int], object] | None,
    ) -> list[Ranking]:
        started = time.perf_counter()
        if top_n is not None and top_n < 1:
            raise InputError(f"top_n must be at least 1; it is {top_n}")
        for query in queries:
            check_query(query)
        first_stage = _one_each("first-stage scores", first_stage_scores, documents)
        nearness = _one_each("similarities", similarities, documents)
        wording = _one_each("word matches", word_matches, documents)
        # A wrong name is refused before the work, not after.
        self.model.scoring.scores(_NO_LOGITS, activation)
        readable = [
            self._readable(query, candidates) for query, candidates in zip(queries, documents, strict=True)
        ]
        pairs = [
            (query, document.content)
            for query, candidates, reads in zip(queries, documents, readable, strict=True)
            for document, read in zip(candidates, reads, strict=True)
            if read
        ]
        logits, truncated = self.model.logits(pairs, progress=progress)
        numbers = zip(logits.tolist(), truncated.tolist(), strict=True)
        rows: list[_Row] = []
        for candidates, reads, known, near, words in zip(
            documents, readable, first_stage, nearness, wording, strict=True
        ):
            weights = self._weights(near, words)
            for place, (document, read) in enumerate(zip(candidates, reads, strict=True)):
                row = _Row(place + 1, document, known[place])
                if read:
                    row.logit, row.truncated = next(numbers)
                    row.combine(weights, near[place], words[place])
                rows.append(row)
        scored = [row for row in rows if row.combined is not None]
        combined = np.array([row.combined for row in scored], np.float32)
        for row, score in zip(scored, self.model.scoring.scores(combined, activation).tolist(), strict=True):
            row.score = score
        seconds = time.perf_counter() - started
        remaining = iter(rows)
        rankings = []
        for query, reads in zip(queries, readable, strict=True):
            # Sorting is stable, so that ties keep first-stage order.
            best = sorted((next(remaining) for _ in reads), key=_Row.descending)[:top_n]
            hits = tuple(row.hit(rank) for rank, row in enumerate(best, start=1))
            notices = self.model.notices + self._notices(query, reads)
            rankings.append(Ranking(query, hits, {"rerank": seconds}, notices))
        return rankings

    def _weights(
        self, similarities: Sequence[float | None], word_matches: Sequence[float | None]
    ) -> Weights | None:
        """How logits go together with what is known of all candidates of a query; None: they stand alone."""
        own = self.model.interpolation
        if own is None:
            return None
        return own.weights_for(similarity=None not in similarities, word_match=None not in word_matches)

    def _readable(self, query: str, candidates: list[Document]) -> list[bool]:
        if not self._reads(query):
            return [False] * len(candidates)
        return [self._reads(document.content) for document in candidates]

    def _reads(self, text: str) -> bool:
        """Whether the model can make anything of a text."""
        scripts = self.model.scripts
        if scripts is not None and unreadable_share(text, scripts) > _UNREADABLE:
            return False
        # An ASCII text can be unknown to no Latin vocabulary, and tokenising everything twice would cost.
        return text.isascii() or self.model.unknown_share(text[:2000]) <= _UNREADABLE

    def _notices(self, query: str, reads: list[bool]) -> tuple[str, ...]:
        unread = reads.count(False)
        if not unread:
            return ()
        advice = "A multilingual model such as BAAI/bge-reranker-v2-m3 may read it."
        if not self._reads(query):
            return (
                f"{self.model.name} cannot read the question (its script or words are not in the model's "
                f"vocabulary); the first-stage order is kept. {advice}",
            )
        return (
            f"{self.model.name} cannot read {unread} of {len(reads)} candidates; they follow the others in "
            f"first-stage order, without a score. {advice}",
        )


def check_query(query: object) -> None:
    """Refuse what cannot be asked.

    Raises:
        InputError: The query is no string, is blank, or is no valid Unicode.
    """
    if not isinstance(query, str):
        raise InputError(f"the question must be a string; it is {type(query).__name__}")
    if not query.strip():
        raise InputError("the question is empty; ask something, such as 'What is the plan for the economy?'")
    try:
        query.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            "the question holds lone surrogates (halves of a character), which are not valid Unicode; "
            "type it again, or check the encoding of your terminal or file"
        ) from error


def _one_each(
    what: str, given: Sequence[Sequence[float | None]] | None, documents: list[list[Document]]
) -> Sequence[Sequence[float | None]]:
    """The numbers that came with the candidates; None for each where none came."""
    if given is None:
        return [[None] * len(candidates) for candidates in documents]
    if len(given) != len(documents):
        raise InputError(f"there are {len(documents)} queries and {len(given)} lists of {what}")
    for candidates, numbers in zip(documents, given, strict=True):
        if len(numbers) != len(candidates):
            raise InputError(f"there are {len(candidates)} candidates and {len(numbers)} {what}")
    return given


@dataclass(slots=True)
class _Row:
    """A candidate on its way to a hit."""

    first_stage_rank: int
    document: Document
    first_stage_score: float | None
    logit: float | None = None
    combined: float | None = None
    similarity: float | None = None
    word_match: float | None = None
    score: float | None = None
    truncated: int = 0

    def combine(self, weights: Weights | None, similarity: float | None, word_match: float | None) -> None:
        """Set the logit to rank by, and keep what is part of it."""
        assert self.logit is not None, "only what was read is ranked"
        self.combined = self.logit
        if weights is not None:
            self.similarity = None if weights.similarity is None else float(similarity or 0)
            self.word_match = None if weights.word_match is None else float(word_match or 0)
            self.combined = weights.combine(self.logit, self.similarity or 0, self.word_match or 0)

    def descending(self) -> float:
        return float("inf") if self.combined is None else -self.combined

    def hit(self, rank: int) -> Hit:
        known = None if self.first_stage_score is None else float(self.first_stage_score)
        return Hit(
            rank,
            self.document,
            self.score,
            self.logit,
            self.first_stage_rank,
            known,
            self.truncated,
            self.similarity,
            self.word_match,
        )
