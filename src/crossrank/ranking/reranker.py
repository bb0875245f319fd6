"""The reranker: candidates in, a ranking with its scores out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from crossrank.documents import SIMILARITY, Candidate, CandidateLike, Hit, Ranking, as_candidates
from crossrank.errors import InputError, UncalibratedError
from crossrank.inference.activations import Activation, activation_name, activation_of
from crossrank.inference.arithmetic import Precision
from crossrank.inference.calibration import check_min_probability
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, Interpolation
from crossrank.inference.score_cache import ScoreCacheLike
from crossrank.inference.scorer import PairScorer, for_ranking
from crossrank.inference.truncation import (
    OnTruncation,
    check_on_truncation,
    report_truncation,
    truncation_notice,
)
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.ranking.effort import Effort, check_effort
from crossrank.ranking.explaining import explained
from crossrank.ranking.long_documents import LongDocuments, check_long_documents
from crossrank.ranking.reading import Asked, Output, Progress, Reading, read
from crossrank.ranking.trust import Trust
from crossrank.text.readability import unreadable_share

# A text is unreadable if more than this share of its letters is in scripts that the model was not trained
# on, or more than this share of its tokens is not in the model's vocabulary.
_UNREADABLE = 0.5
_NO_LOGITS = np.empty(0, np.float32)
_ADVICE = "A multilingual model such as BAAI/bge-reranker-v2-m3 may read it."


class Reranker:
    """Ranks candidates with a cross-encoder and keeps the scores.

    Thread-safe. On the CPU, it can also be used in forked processes.

    Args:
        model: A cross-encoder, local or on an endpoint, or the name or folder of one.
        threads: Number of threads; by default one per available processor. ``threads``, ``device``,
            ``max_length``, ``precision`` and ``score_cache`` apply only if the model is given by name or
            folder.
        device: See :class:`crossrank.CrossEncoder`.
        max_length: See :class:`crossrank.CrossEncoder`.
        precision: See :class:`crossrank.CrossEncoder`.
        score_cache: See :class:`crossrank.CrossEncoder`.

    Raises:
        ModelError: The model cannot be loaded, or is not a reranker.
        InputError: The device does not exist, or options were given for a model that is already loaded.
        MissingExtraError: The device or the model needs PyTorch, which is not installed.

    Example:
        >>> ranking = Reranker().rank("Who bakes bread?", ["A tide table.", "Bakers bake bread."])
        >>> [(hit.rank, hit.text, hit.candidate.rank) for hit in ranking]
        [(1, 'Bakers bake bread.', 2), (2, 'A tide table.', 1)]
    """

    def __init__(
        self,
        model: str | Path | PairScorer = DEFAULT_CROSS_ENCODER,
        *,
        threads: int | None = None,
        device: str | None = None,
        max_length: int | None = None,
        precision: Precision = "auto",
        score_cache: ScoreCacheLike = None,
    ) -> None:
        if not isinstance(model, PairScorer):
            model = CrossEncoder(
                model,
                threads=threads,
                device=device,
                max_length=max_length,
                precision=precision,
                score_cache=score_cache,
            )
        elif (threads, device, max_length, precision, score_cache) != (None, None, None, "auto", None):
            raise InputError("the model is loaded already; give its options to it")
        self.model = for_ranking(model)
        self._trust = Trust()

    def rank(
        self,
        query: str,
        candidates: Iterable[CandidateLike],
        *,
        top_n: int | None = None,
        min_probability: float | None = None,
        interpolation: Interpolation | None = None,
        effort: Effort = "full",
        activation: Activation | None = None,
        long_documents: LongDocuments = "truncate",
        best_windows: int = 1,
        on_truncation: OnTruncation = "warn",
        explain: bool = False,
        progress: Progress | None = None,
    ) -> Ranking:
        """Rank the candidates of one query.

        Evidence that all candidates have is added to the logit if ``model.interpolation`` has weights for it;
        similarities only if they come from the embedder that the weights were fitted for. Candidates with
        equal sums keep their order. A candidate that the model cannot read (another script, unknown tokens)
        gets no score and is ranked after the others, in first-stage order. If the model cannot read the
        query, all candidates keep their order.

        Args:
            query: The question.
            candidates: Candidates from a :class:`~crossrank.retrieval.base.Retriever`, or strings, documents
                or mappings; in first-stage order.
            top_n: How many hits to return; all by default. Candidates that cannot be among them are not read,
                if the model's weights say so.
            min_probability: Return only hits of at least this probability, from 0 to 1; none if nothing is
                relevant. The model has to be calibrated for what it ranks by, as the bundled one is.
            interpolation: Weights for the evidence in place of the model's own, such as those that were
                learnt for an index (:meth:`crossrank.Index.interpolations`).
            effort: ``full`` gives the same hits as reading all candidates. ``fast`` stops earlier: of 100
                questions, about one gets another hit in one place. It needs a model with a forecast in its
                weights, such as the bundled one.
            activation: From logit to score; the model's own by default, ``"none"`` for logits.
            long_documents: How to read documents that are longer than the model reads. ``truncate`` cuts off
                their end. ``windows`` reads all of them, in windows that end at sentences and overlap;
                :attr:`Hit.window` is the best one. ``first`` reads the first window alone. Other documents
                are not affected.
            best_windows: The logit of a document in windows is the mean of this many of its best windows; 1,
                the default, is their maximum.
            on_truncation: What to do if the end of a candidate was not read: ``warn`` (a notice in the
                ranking, and one :class:`crossrank.TruncationWarning` a call), ``error`` or ``ignore``. With
                ``long_documents="first"``, what follows the first window does not count.
            explain: Whether hits have ``spans``: which sentence, and which of its words, the score comes
                from. See docs/explaining.md.
            progress: Called with the number of candidates scored since the last call.

        Returns:
            The ranking; empty if there are no candidates. ``timings`` has ``rerank`` and, where it was asked
            for, ``explain``, in seconds.

        Raises:
            InputError: The query is empty, ``top_n`` is below 1, a candidate is not a document, its evidence
                is not a finite number, an option is unknown, a candidate was truncated and ``on_truncation``
                is ``error``, or the model is remote and cannot read windows.
            UncalibratedError: ``min_probability`` is given, and the model is not calibrated for what it ranks
                by.

        Example:
            >>> bread = "Bees dance. " * 200 + "Bakers bake bread at night."
            >>> [hit] = Reranker().rank("Who bakes bread?", [bread], long_documents="windows", explain=True)
            >>> bread[hit.spans[0].start : hit.spans[0].end], hit.window.number == hit.window.count
            ('Bakers bake bread at night.', True)
        """
        (ranking,) = self.rank_many(
            [(query, candidates)],
            top_n=top_n,
            min_probability=min_probability,
            interpolation=interpolation,
            effort=effort,
            activation=activation,
            long_documents=long_documents,
            best_windows=best_windows,
            on_truncation=on_truncation,
            explain=explain,
            progress=progress,
        )
        return ranking

    def rank_many(
        self,
        queries: Iterable[tuple[str, Iterable[CandidateLike]]],
        *,
        top_n: int | None = None,
        min_probability: float | None = None,
        interpolation: Interpolation | None = None,
        effort: Effort = "full",
        activation: Activation | None = None,
        long_documents: LongDocuments = "truncate",
        best_windows: int = 1,
        on_truncation: OnTruncation = "warn",
        explain: bool = False,
        progress: Progress | None = None,
    ) -> list[Ranking]:
        """Rank the candidates of many queries, batched together.

        Args:
            queries: Pairs of a query and its candidates; see :meth:`rank`.
            top_n: See :meth:`rank`.
            min_probability: See :meth:`rank`.
            interpolation: See :meth:`rank`.
            effort: See :meth:`rank`.
            activation: See :meth:`rank`.
            long_documents: See :meth:`rank`.
            best_windows: See :meth:`rank`.
            on_truncation: See :meth:`rank`; there is one warning for all queries.
            explain: See :meth:`rank`.
            progress: See :meth:`rank`.

        Returns:
            One ranking per query, in order, with the same scores as from :meth:`rank`.

        Raises:
            InputError: See :meth:`rank`.

        Example:
            >>> passages = ["A tide table.", "Bakers bake bread."]
            >>> questions = ["Who bakes bread?", "When is high tide?"]
            >>> rankings = Reranker().rank_many((question, passages) for question in questions)
            >>> [ranking[0].text for ranking in rankings]
            ['Bakers bake bread.', 'A tide table.']
        """
        started = time.perf_counter()
        if top_n is not None and top_n < 1:
            raise InputError(f"top_n must be at least 1; it is {top_n}")
        check_effort(effort)
        check_long_documents(long_documents, best_windows)
        check_on_truncation(on_truncation)
        if min_probability is not None:
            check_min_probability(min_probability)
        # An unknown activation raises an error before the scoring, not after it.
        self.model.scoring.scores(_NO_LOGITS, activation)
        asked: list[Asked] = []
        for query, given in queries:
            check_query(query)
            candidates = as_candidates(given)
            weights, notices = self._weights(candidates, interpolation or self.model.interpolation)
            calibration = weights.calibration if weights else self.model.calibration
            if min_probability is not None and candidates and calibration is None:
                ranked_by = f"its logit {weights.name}" if weights else "its logit alone"
                raise UncalibratedError(self.model.name, ranked_by)
            readable = self._readable(query, candidates)
            asked.append(Asked(query, candidates, readable, weights, calibration, notices))
        outputs = read(self.model, asked, Reading(top_n, effort, long_documents, best_windows), progress)
        cuts = [[output.truncated for output in own.values()] for own in outputs]
        # What follows the first window was left out on purpose.
        counted = [[] if long_documents == "first" or on_truncation == "ignore" else cut for cut in cuts]
        report_truncation(self._cut([cut for own in counted for cut in own]), on_truncation)
        timings = {"rerank": time.perf_counter() - started}
        found = [self._hits(one, own, activation)[:top_n] for one, own in zip(asked, outputs, strict=True)]
        hits = [_probable(own, min_probability) for own in found]
        if explain:
            hits = explained(
                self.model,
                [(one.query, own) for one, own in zip(asked, hits, strict=True)],
                progress=progress,
            )
            timings["explain"] = time.perf_counter() - started - timings["rerank"]
        applied = activation_name(activation_of(activation) or self.model.scoring.activation)
        return [
            Ranking(
                one.query,
                own,
                applied,
                timings,
                (
                    *self.model.notices,
                    *self._unread(one),
                    *one.notices,
                    *_without_forecast(one, effort),
                    *self._trust.notices(self.model.name, one.candidates, known),
                    *filter(None, [self._cut(warned), _abstains(best, own, min_probability)]),
                ),
                len(cut),
                sum(cut),
            )
            for one, known, best, own, cut, warned in zip(
                asked, outputs, found, hits, cuts, counted, strict=True
            )
        ]

    async def arank(self, query: str, candidates: Iterable[CandidateLike], **options: Any) -> Ranking:
        """:meth:`rank` in another thread, without blocking the event loop."""
        return await asyncio.to_thread(self.rank, query, candidates, **options)

    async def arank_many(
        self, queries: Iterable[tuple[str, Iterable[CandidateLike]]], **options: Any
    ) -> list[Ranking]:
        """:meth:`rank_many` in another thread, without blocking the event loop."""
        return await asyncio.to_thread(self.rank_many, queries, **options)

    def _weights(
        self, candidates: Sequence[Candidate], own: Interpolation | None
    ) -> tuple[EvidenceWeights | None, tuple[str, ...]]:
        """Weights for the evidence that all candidates have (None: not used), and notices about it."""
        if own is None or not candidates:
            return None, ()
        known = set.intersection(*(set(candidate.evidence) for candidate in candidates))
        if SIMILARITY not in known or all(candidate.embedder == own.fingerprint for candidate in candidates):
            return own.weights_for(known), ()
        if not own.takes_similarity:
            return own.weights_for(known - {SIMILARITY}), ()
        remedy = "learn weights for your index with crossrank eval --tune"
        if own.scale is not None:
            remedy = f"search with a Searcher whose retriever has an attribute 'embedder', or {remedy}"
        return own.weights_for(known - {SIMILARITY}), (
            f"similarities are not counted: {self.model.name} has weights for those of the embedder "
            f"{own.embedder}, and these are of another one. That can be worse than the first stage: "
            f"{remedy}.",
        )

    def _hits(
        self, one: Asked, outputs: Mapping[int, Output], activation: Activation | None
    ) -> tuple[Hit, ...]:
        """All candidates as hits, best first; those that were not read come last."""
        added = {
            place: _contributions(one.candidates[place], output.logit, one.weights)
            for place, output in outputs.items()
        }
        places = range(len(one.candidates))
        sums = [sum(added[place].values()) if place in added else -inf for place in places]
        # Sorting is stable, so ties keep their first-stage order.
        order = sorted(places, key=lambda place: -sums[place])
        combined = np.array([sums[place] for place in order if place in added], np.float32)
        scores = self.model.scoring.scores(combined, activation).tolist()
        # Of the exact sums, so that the order of probabilities is that of the hits.
        exact = [sums[place] for place in order if place in added]
        probabilities = (
            one.calibration.probabilities(exact).tolist() if one.calibration else [None] * len(exact)
        )
        hits = []
        for rank, place in enumerate(order, start=1):
            candidate = one.candidates[place]
            if place in added:
                output, score, probability = outputs[place], scores[rank - 1], probabilities[rank - 1]
                hits.append(
                    Hit(
                        candidate,
                        rank,
                        score,
                        output.logit,
                        added[place],
                        output.truncated,
                        output.window,
                        probability=probability,
                    )
                )
            else:
                hits.append(Hit(candidate, rank, None, None))
        return tuple(hits)

    def _cut(self, cut: Sequence[int]) -> str | None:
        """A notice about candidates whose end was not read."""
        remedy = "long_documents='windows' reads whole documents."
        return truncation_notice(self.model.name, cut, "candidates", remedy)

    def _readable(self, query: str, candidates: Sequence[Candidate]) -> list[int]:
        """The places of the candidates that the model can read; none if it cannot read the query."""
        if not self._reads(query):
            return []
        return [
            place for place, candidate in enumerate(candidates) if self._reads(candidate.document.content)
        ]

    def _reads(self, text: str) -> bool:
        """Whether the model can read a text."""
        scripts = self.model.scripts
        if scripts is not None and unreadable_share(text, scripts) > _UNREADABLE:
            return False
        # A Latin vocabulary covers all ASCII text, and tokenising every text twice would be slow.
        return text.isascii() or self.model.unknown_share(text[:2000]) <= _UNREADABLE

    def _unread(self, one: Asked) -> tuple[str, ...]:
        """Notices about texts that the model cannot read."""
        unread = len(one.candidates) - len(one.readable)
        if not unread:
            return ()
        if not self._reads(one.query):
            return (
                f"{self.model.name} cannot read the question (its script or words are not in the model's "
                f"vocabulary); the first-stage order is kept. {_ADVICE}",
            )
        return (
            f"{self.model.name} cannot read {unread} of {len(one.candidates)} candidates; they follow the "
            f"others in first-stage order, without a score. {_ADVICE}",
        )


def _probable(hits: tuple[Hit, ...], least: float | None) -> tuple[Hit, ...]:
    """The hits of at least a probability."""
    if least is None:
        return hits
    return tuple(hit for hit in hits if hit.probability is not None and hit.probability >= least)


def _abstains(hits: tuple[Hit, ...], kept: tuple[Hit, ...], least: float | None) -> str | None:
    """A notice if none of the hits is probable enough."""
    if kept or not hits:
        return None
    best = hits[0].probability
    reason = "no candidate has a score"
    if best is not None:
        reason = f"the best candidate has a probability of {best:.2f}"
    return f"nothing is relevant enough: {reason}; min_probability is {least:g}."


def _without_forecast(one: Asked, effort: Effort) -> tuple[str, ...]:
    if effort == "full" or (one.weights and one.weights.forecast):
        return ()
    return (
        "effort='fast' reads no less than 'full' here: it needs the first stage's evidence (similarity, word "
        "match), and a model that has a forecast for it, such as the bundled one with the bundled embedder.",
    )


def check_query(query: object) -> None:
    """Check that a query can be used.

    Raises:
        InputError: The query is not a string, is blank, or is not valid Unicode.
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


def _contributions(
    candidate: Candidate, logit: float, weights: EvidenceWeights | None
) -> Mapping[str, float]:
    """The contributions of logit and evidence for one candidate.

    Raises:
        InputError: Evidence that is used is not a finite number.
    """
    if weights is None:
        return {"logit": logit}
    parts = weights.contributions(logit, candidate.evidence)
    if not all(map(isfinite, parts.values())):
        raise InputError(
            f"the evidence for {candidate.document.id!r} holds what is not a finite number: "
            f"{dict(candidate.evidence)}; check the retriever that gave it"
        )
    return parts
