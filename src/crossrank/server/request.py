"""What a caller asks for and gets, the same for every wire format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crossrank.errors import CrossrankError
from crossrank.inference.pairs import Pair


class RequestError(CrossrankError):
    """A request that cannot be answered.

    Args:
        status: The HTTP status to answer with.
        message: What was wrong and what to do, for whoever sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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
class RerankRequest:
    """A query and the documents to score for it.

    Attributes:
        query: The query.
        documents: The documents, in the caller's order.
        top_n: How many of the best to name; None: all.
        return_documents: Whether results hold their documents.
        raw_scores: Whether scores are logits; otherwise the model's own activation is applied to them.
        truncate: Whether documents that are too long are cut; otherwise they make the request an error.
    """

    query: str
    documents: Sequence[SentDocument]
    top_n: int | None = None
    return_documents: bool = False
    raw_scores: bool = False
    truncate: bool = True

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
        score: Its score, or its logit where raw scores were asked for.
        truncated_tokens: How many tokens of its text the model did not read.
    """

    index: int
    document: SentDocument
    score: float
    truncated_tokens: int = 0


@dataclass(frozen=True, slots=True)
class RerankAnswer:
    """The answer to a request.

    Attributes:
        request: The request.
        results: One for each document, in the caller's order.
        model: The name of the model that scored.
    """

    request: RerankRequest
    results: Sequence[Result]
    model: str

    def best(self) -> list[Result]:
        """The ``top_n`` best, best first; equal scores keep the caller's order."""
        return sorted(self.results, key=lambda result: -result.score)[: self.request.top_n]
