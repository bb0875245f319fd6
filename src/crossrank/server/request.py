"""What a caller asks for and gets, the same for every wire format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crossrank.documents import Span, Window
from crossrank.errors import CrossrankError
from crossrank.inference.pairs import Pair


class RequestError(CrossrankError):
    """A request that cannot be answered.

    Args:
        status: The HTTP status to answer with.
        message: What was wrong and what to do, for whoever sent it.
        retry_after: Seconds after which it is worth trying again.

    Attributes:
        wire: The wire format that it is to be written in, where a path has several.
    """

    wire: Any = None

    def __init__(self, status: int, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True, slots=True)
class SentDocument:
    """A document of a request.

    Attributes:
        text: What is scored.
        sent: The document as the caller sent it, a string or an object, to be given back unchanged.
    """

    text: str
    sent: Any


@dataclass(frozen=True, slots=True)
class RelevantSpans:
    """Which of the sentences of a document are named.

    Attributes:
        threshold: The least weight of a sentence.
        most: How many are named at most; None: all.
    """

    threshold: float
    most: int | None


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A query and the documents to score for it.

    Attributes:
        query: The query.
        documents: The documents, in the caller's order.
        top_n: How many of the best to name; None: all.
        return_documents: Whether results hold their documents.
        raw_scores: Whether scores are logits; otherwise from 0 to 1, their sigmoid.
        truncate: Whether documents that are too long are cut; otherwise they make the request an error.
        model: The name of the model that is asked for; None: any.
        document_tokens: How many tokens of a document are read at most; None: as many as the model reads.
        pair_tokens: How many tokens of the query with a document are read at most; None: as for a document.
        keep_end: Whether a document that is too long loses its beginning, and not its end.
        min_probability: The least probability of a named result; None: any.
        long_documents: How documents are read that are longer than the model reads; see
            :meth:`crossrank.Reranker.rank`, and so are the next two.
        best_windows: How many windows of a document count.
        explain: Whether named results have the sentences and words that their score comes from.
        warns: Whether the answer warns of truncated documents.
        relevant_spans: Which sentences Cohere's clients get; None: none.
    """

    query: str
    documents: Sequence[SentDocument]
    top_n: int | None = None
    return_documents: bool = False
    raw_scores: bool = False
    truncate: bool = True
    model: str | None = None
    document_tokens: int | None = None
    pair_tokens: int | None = None
    keep_end: bool = False
    min_probability: float | None = None
    long_documents: Literal["truncate", "windows", "first"] = "truncate"
    best_windows: int = 1
    explain: bool = False
    warns: bool = True
    relevant_spans: RelevantSpans | None = None

    @property
    def pairs(self) -> list[Pair]:
        """(query, passage) for each document."""
        return [(self.query, document.text) for document in self.documents]


@dataclass(frozen=True, slots=True)
class Result:
    """A document and its score.

    Attributes:
        index: The document's position in the request, from 0.
        document: The document.
        logit: The model's output, by which results are sorted: far from 0, scores are equal where it is not.
        score: The sigmoid of the logit, or the logit where raw scores were asked for.
        truncated_tokens: How many tokens of its text the model did not read.
        tokens: How many tokens the model read, of the query and the document.
        probability: The probability that the document is relevant; None if the model is not calibrated.
        window: The part of the document that the score comes from; None if it was read at once.
        spans: Its sentences, most relevant first, if they were asked for.
    """

    index: int
    document: SentDocument
    logit: float
    score: float
    truncated_tokens: int = 0
    tokens: int = 0
    probability: float | None = None
    window: Window | None = None
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class RerankAnswer:
    """The answer to a request.

    Attributes:
        request: The request.
        results: One for each document, in the caller's order.
        model: The name of the model that scored.
        all_tokens: How many tokens the model read for it, where that is not the sum of those of its results.
    """

    request: RerankRequest
    results: Sequence[Result]
    model: str
    all_tokens: int | None = None

    def best(self) -> list[Result]:
        """The ``top_n`` best, best first; equal logits keep the caller's order.

        With ``min_probability``, only those of at least this probability.
        """
        best = sorted(self.results, key=lambda result: -result.logit)[: self.request.top_n]
        least = self.request.min_probability
        if least is None:
            return best
        return [one for one in best if one.probability is not None and one.probability >= least]

    @property
    def tokens(self) -> int:
        """How many tokens the model read for it."""
        if self.all_tokens is not None:
            return self.all_tokens
        return sum(result.tokens for result in self.results)
