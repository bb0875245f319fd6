"""A LangChain document compressor that reranks with a cross-encoder."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from langchain_core.callbacks import Callbacks
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field

from crossrank.documents import Ranking, Span
from crossrank.errors import InputError, ModelError
from crossrank.inference.truncation import OnTruncation, truncation_notice
from crossrank.integrations.langchain.scoring import LogitCrossEncoder
from crossrank.ranking.long_documents import LongDocuments
from crossrank.ranking.reranker import Reranker

logger = logging.getLogger(__name__)


class _Place(NamedTuple):
    position: int
    score: float | None
    logit: float | None
    probability: float | None = None
    spans: tuple[Span, ...] | None = None


class CrossEncoderReranker(BaseDocumentCompressor):
    """Reranks documents, and returns copies of the best with their scores in the metadata.

    Each copy has ``relevance_score``, ``relevance_logit`` (None if ``model`` is not crossrank's and returns
    only scores), ``relevance_probability`` (None if the model is not calibrated) and ``first_stage_rank``,
    its original rank, from 1. Documents are sorted by logit; ties keep their order. Documents that the model
    cannot read (another script) come last, with None for all three numbers.

    Args:
        model: :class:`HuggingFaceCrossEncoder`, :class:`SagemakerEndpointCrossEncoder`, or any other
            ``BaseCrossEncoder``.
        top_n: How many documents to return; None for all.
        score_threshold: Return only documents with at least this ``relevance_score``; 0 is a valid threshold.
            Documents without a score are left out.
        min_probability: Return only documents of at least this probability, none if nothing is relevant, if
            ``model`` is crossrank's; see :meth:`crossrank.Reranker.rank`.
        long_documents: How to read documents that are longer than the model reads, if ``model`` is
            crossrank's; see :meth:`crossrank.Reranker.rank`, and so is the next.
        on_truncation: What to do if the end of a document was not read: ``warn`` (in the log), ``error`` or
            ``ignore``.
        explain: Whether documents have ``relevance_spans``: the sentences that the score can come from, most
            relevant first, as dictionaries with ``start``, ``end``, ``weight`` and ``words``. See
            docs/explaining.md.

    Example:
        >>> from crossrank.integrations.langchain import HuggingFaceCrossEncoder
        >>> reranker = CrossEncoderReranker(model=HuggingFaceCrossEncoder(), top_n=1)
        >>> documents = [Document("A tide table."), Document("Bakers bake bread.", metadata={"page": 7})]
        >>> best = reranker.compress_documents(documents, "Who bakes bread?")[0]
        >>> best.page_content, best.metadata["page"], best.metadata["first_stage_rank"]
        ('Bakers bake bread.', 7, 2)
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: BaseCrossEncoder
    top_n: int | None = Field(default=3, ge=1)
    score_threshold: float | None = Field(default=None, allow_inf_nan=False)
    min_probability: float | None = Field(default=None, ge=0, le=1)
    long_documents: LongDocuments = "truncate"
    on_truncation: OnTruncation = "warn"
    explain: bool = False

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Rerank.

        Args:
            documents: The documents in first-stage order; they are not changed. May be empty.
            query: The question.
            callbacks: Not used: there are no child runs.

        Raises:
            InputError: The query is empty, or ``min_probability`` or ``explain`` are given for a model that
                is not crossrank's.
            ModelError: The model does not return one number per document.
            UncalibratedError: ``min_probability`` is given, and the model is not calibrated.
        """
        if not documents:
            return []
        texts = [document.page_content for document in documents]
        if isinstance(self.model, LogitCrossEncoder):
            reranker = Reranker(self.model.scorer)
            ranking = reranker.rank(query, texts, **self._options(self.model))
            places = self._places(reranker, ranking)
        else:
            self._check_own()
            places = _by_score(self.model.score([(query, text) for text in texts]), len(texts))
        return self._best(documents, places)

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """:meth:`compress_documents`, with the model in another thread, without blocking the event loop."""
        if not documents:
            return []
        texts = [document.page_content for document in documents]
        if isinstance(self.model, LogitCrossEncoder):
            reranker = Reranker(self.model.scorer)
            ranking = await reranker.arank(query, texts, **self._options(self.model))
            places = self._places(reranker, ranking)
        else:
            self._check_own()
            scores = await run_in_executor(None, self.model.score, [(query, text) for text in texts])
            places = _by_score(scores, len(texts))
        return self._best(documents, places)

    def _options(self, model: LogitCrossEncoder) -> dict[str, Any]:
        # What is warned of is logged, like all other notices.
        on_truncation = "ignore" if self.on_truncation == "warn" else self.on_truncation
        return {
            "activation": model.activation,
            "long_documents": self.long_documents,
            "on_truncation": on_truncation,
            "min_probability": self.min_probability,
            "explain": self.explain,
            # Only what is returned is explained, which takes time.
            "top_n": self.top_n if self.explain else None,
        }

    def _check_own(self) -> None:
        if self.min_probability is not None or self.explain:
            raise InputError(
                "min_probability and explain need a model of crossrank, such as HuggingFaceCrossEncoder; "
                f"this is a {type(self.model).__name__}"
            )

    def _places(self, reranker: Reranker, ranking: Ranking) -> list[_Place]:
        # The model's own notices came when it was loaded; these are about this query and its candidates.
        notices = list(ranking.notices[len(reranker.model.notices) :])
        if self.on_truncation == "warn" and self.long_documents != "first":
            cut = [hit.truncated_tokens for hit in ranking]
            remedy = "long_documents='windows' reads whole documents."
            notices += filter(None, [truncation_notice(reranker.model.name, cut, "documents", remedy)])
        for notice in notices:
            logger.warning(notice)
        return [
            _Place(
                hit.candidate.rank - 1,
                hit.score,
                hit.logit,
                hit.probability,
                hit.spans if self.explain else None,
            )
            for hit in ranking
        ]

    def _best(self, documents: Sequence[Document], places: list[_Place]) -> list[Document]:
        threshold = self.score_threshold
        if threshold is not None:
            places = [place for place in places if place.score is not None and place.score >= threshold]
        return [_scored(documents[place.position], place) for place in places[: self.top_n]]


def _by_score(given: Sequence[float], count: int) -> list[_Place]:
    scores = [float(score) for score in given]
    if len(scores) != count:
        raise ModelError(f"the cross-encoder gave {len(scores)} scores for {count} documents")
    if any(math.isnan(score) for score in scores):
        raise ModelError("the cross-encoder gave a score that is not a number")
    order = sorted(range(count), key=lambda position: -scores[position])
    return [_Place(position, scores[position], None) for position in order]


def _scored(document: Document, place: _Place) -> Document:
    numbers: dict[str, Any] = {
        "relevance_score": place.score,
        "relevance_logit": place.logit,
        "relevance_probability": place.probability,
        "first_stage_rank": place.position + 1,
    }
    if place.spans is not None:
        numbers["relevance_spans"] = [span.to_dict() for span in place.spans]
    return document.model_copy(update={"metadata": {**document.metadata, **numbers}})
