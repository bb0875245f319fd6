"""Haystack: a ranker component (extra ``haystack``)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from crossrank.errors import InputError, MissingExtraError
from crossrank.inference.calibration import check_min_probability
from crossrank.inference.scorer import PairScorer
from crossrank.inference.truncation import OnTruncation
from crossrank.integrations.notices import log_notices
from crossrank.keywords import checked_keywords
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.ranking.long_documents import LongDocuments
from crossrank.ranking.reranker import Reranker

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ImportError as error:
    raise MissingExtraError("crossrank.integrations.haystack", "haystack") from error

logger = logging.getLogger(__name__)
# Shared by all components, so that a component can be copied before its model is loaded.
_loading = Lock()


@component
class CrossrankRanker:
    """Ranks documents with a cross-encoder.

    Has the same inputs and outputs as Haystack's similarity rankers: documents with the same id are
    deduplicated (the one with the highest score is kept), and the returned documents are copies with a new
    ``score``. ``score`` is None if the model cannot read a document; it is ranked after the others. What
    :attr:`crossrank.Ranking.notices` has is logged as a warning.

    Args:
        model: The name or folder of a cross-encoder, or a loaded one, to share it (``to_dict`` then writes
            its name).
        top_k: The maximum number of documents to return.
        meta_fields_to_embed: Meta fields to put before the content of a document.
        embedding_separator: Separator between the meta fields and the content.
        scale_score: Return scores between 0 and 1, by sigmoid; otherwise logits.
        score_threshold: Return only documents with at least this score; it may be 0 or negative.
        min_probability: Return only documents of at least this probability, none if nothing is relevant; see
            :meth:`crossrank.Reranker.rank`, and so are the next two.
        long_documents: How to read texts that are longer than the model reads.
        on_truncation: What to do if the end of a text was not read: ``warn``, ``error`` or ``ignore``.

    Raises:
        InputError: ``top_k`` is below 1, or ``min_probability`` is not from 0 to 1.
        UnknownKeywordError: A keyword argument is unknown.

    Example:
        >>> from haystack import Document
        >>> documents = [Document(content="A tide table."), Document(content="Bakers bake bread.")]
        >>> ranker = CrossrankRanker(top_k=1)
        >>> [document] = ranker.run(query="Who bakes bread?", documents=documents)["documents"]
        >>> document.content, document.score > 0.9
        ('Bakers bake bread.', True)
    """

    @checked_keywords()
    def __init__(
        self,
        *,
        model: str | Path | PairScorer = DEFAULT_CROSS_ENCODER,
        top_k: int = 10,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        scale_score: bool = True,
        score_threshold: float | None = None,
        min_probability: float | None = None,
        long_documents: LongDocuments = "truncate",
        on_truncation: OnTruncation = "warn",
    ) -> None:
        _check_top_k(top_k)
        self.model = model.name if isinstance(model, PairScorer) else str(model)
        self.top_k = top_k
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator
        self.scale_score = scale_score
        self.score_threshold = score_threshold
        if min_probability is not None:
            check_min_probability(min_probability)
        self.min_probability = min_probability
        self.long_documents: LongDocuments = long_documents
        self.on_truncation: OnTruncation = on_truncation
        self._reranker = Reranker(model) if isinstance(model, PairScorer) else None

    def warm_up(self) -> None:
        """Load the model, once.

        Raises:
            ModelError: The model cannot be loaded, or is not a reranker.
        """
        self._loaded()

    async def warm_up_async(self) -> None:
        """:meth:`warm_up` in another thread, without blocking the event loop."""
        await asyncio.to_thread(self._loaded)

    def to_dict(self) -> dict[str, Any]:
        """Serialise the component for a pipeline's YAML."""
        return default_to_dict(
            self,
            model=self.model,
            top_k=self.top_k,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
            scale_score=self.scale_score,
            score_threshold=self.score_threshold,
            min_probability=self.min_probability,
            long_documents=self.long_documents,
            on_truncation=self.on_truncation,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CrossrankRanker:
        """Create a component from the dictionary of :meth:`to_dict`."""
        return default_from_dict(cls, data)

    @component.output_types(documents=list[Document])
    def run(
        self,
        *,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        scale_score: bool | None = None,
        score_threshold: float | None = None,
    ) -> dict[str, list[Document]]:
        """Rank documents.

        Args:
            query: The question.
            documents: The candidates, in first-stage order.
            top_k: Overrides the component's ``top_k``.
            scale_score: Overrides the component's ``scale_score``.
            score_threshold: Overrides the component's ``score_threshold``.

        Returns:
            A dictionary with ``documents``, best first.

        Raises:
            InputError: The query is empty, or ``top_k`` is below 1.
            ModelError: The model cannot be loaded, or is not a reranker.
            UncalibratedError: ``min_probability`` is given, and the model is not calibrated.
        """
        top_k = self.top_k if top_k is None else top_k
        scale_score = self.scale_score if scale_score is None else scale_score
        threshold = self.score_threshold if score_threshold is None else score_threshold
        _check_top_k(top_k)
        if not documents:
            return {"documents": []}
        candidates = _each_once(documents)
        reranker = self._loaded()
        ranking = reranker.rank(
            query,
            [self._text(document) for document in candidates],
            top_n=top_k,
            activation="sigmoid" if scale_score else "none",
            min_probability=self.min_probability,
            long_documents=self.long_documents,
            on_truncation=self.on_truncation,
        )
        log_notices(logger, reranker.model, [ranking])
        ranked = [
            replace(document, score=hit.score, meta=dict(document.meta))
            for hit in ranking
            for document in [candidates[hit.candidate.rank - 1]]
            if threshold is None or (hit.score is not None and hit.score >= threshold)
        ]
        return {"documents": ranked}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        *,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        scale_score: bool | None = None,
        score_threshold: float | None = None,
    ) -> dict[str, list[Document]]:
        """:meth:`run` in another thread, without blocking the event loop."""
        return await asyncio.to_thread(
            self.run,
            query=query,
            documents=documents,
            top_k=top_k,
            scale_score=scale_score,
            score_threshold=score_threshold,
        )

    def _loaded(self) -> Reranker:
        if self._reranker is None:
            with _loading:
                self._reranker = self._reranker or Reranker(self.model)
        return self._reranker

    def _text(self, document: Document) -> str:
        values = (document.meta.get(field) for field in self.meta_fields_to_embed)
        parts = [str(value) for value in values if value is not None]
        return self.embedding_separator.join([*parts, document.content or ""])


def _check_top_k(top_k: int) -> None:
    if top_k < 1:
        raise InputError(f"top_k must be at least 1; it is {top_k}")


def _each_once(documents: list[Document]) -> list[Document]:
    """Deduplicate documents by id: keep the one with the highest score, in the position of the first."""
    best: dict[str, Document] = {}
    for document in documents:
        known = best.setdefault(document.id, document)
        if document.score is not None and (known.score is None or document.score > known.score):
            best[document.id] = document
    return list(best.values())
