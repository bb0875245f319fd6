"""Cohere: ``/v2/rerank`` and ``/v1/rerank``.

Read off the cohere package (5.21 and 7.3): https://docs.cohere.com/reference/rerank
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from crossrank.server.request import RelevantSpans, RerankAnswer, RerankRequest
from crossrank.server.wire.fields import Fields, shown
from crossrank.server.wire.json_format import JsonFormat
from crossrank.server.wire.results import results_answer
from crossrank.server.wire.schema import (
    COUNT,
    DOCUMENTS,
    FLAG,
    MODEL,
    PASSAGES,
    QUERY,
    QUESTION,
    STRINGS,
    an_example,
    an_object,
)  # fmt: skip

_SPANS: dict[str, Any] = {
    "type": ["object", "null"],
    "properties": {
        "mode": {"type": "string", "enum": ["enabled", "disabled"]},
        "threshold": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "max_spans": {**COUNT, "minimum": 1},
    },
    "required": ["mode"],
}


def _relevant_spans(fields: Fields) -> RelevantSpans | None:
    """Which spans are asked for; None if none are.

    Raises:
        RequestError: The field is wrong.
    """
    value = fields.get("relevant_spans")
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise fields.error(f'relevant_spans must be an object, {{"mode": "enabled"}}; it is {shown(value)}')
    inner = Fields(value)
    if inner.choice("mode", ("enabled", "disabled")) != "enabled":
        return None
    threshold, most = inner.probability("threshold"), inner.number("max_spans")
    if most is not None and most < 1:
        raise fields.error(f"relevant_spans.max_spans must be a whole number from 1; it is {most}")
    return RelevantSpans(0.1 if threshold is None else threshold, most)


class CohereV2(JsonFormat):
    """Version 2: documents do not come back unless they are asked for, which Cohere's own client cannot."""

    name = "Cohere v2"
    paths: ClassVar[tuple[str, ...]] = ("/cohere/v2/rerank", "/cohere/v1/v2/rerank", "/cohere/rerank")
    version = "2"
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=COUNT,
        return_documents=FLAG, max_tokens_per_doc=COUNT, relevant_spans=_SPANS,
    )  # fmt: skip
    example = an_example(model="rerank", query=QUESTION, documents=PASSAGES, top_n=1)

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(
            fields.query(),
            fields.documents(rank_fields=fields.strings("rank_fields")),
            fields.top_n(),
            return_documents=fields.flag("return_documents", default=False),
            model=fields.model(),
            document_tokens=fields.tokens("max_tokens_per_doc"),
            explain=(spans := _relevant_spans(fields)) is not None,
            relevant_spans=spans,
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return results_answer(answer, version=self.version)


class CohereV1(CohereV2):
    """Version 1: documents may be objects, of which ``rank_fields`` are scored, and come back whole."""

    name = "Cohere v1"
    # A client whose base URL ends in /v1 repeats it.
    paths = ("/cohere/v1/rerank", "/cohere/v1/v1/rerank")
    version = "1"
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=COUNT,
        return_documents=FLAG, rank_fields=STRINGS,
    )  # fmt: skip
    example = an_example(
        query=QUESTION,
        documents=[{"text": text} for text in PASSAGES],
        return_documents=True,
    )
