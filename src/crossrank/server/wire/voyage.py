"""Voyage: ``/v1/rerank`` with ``top_k``, answered in ``data``.

Read off the voyageai package (0.5): https://docs.voyageai.com/docs/reranker
"""

from __future__ import annotations

from crossrank.server.request import RerankAnswer, RerankRequest
from crossrank.server.wire.fields import Fields
from crossrank.server.wire.json_format import JsonFormat
from crossrank.server.wire.results import as_string, meta, rows, usage
from crossrank.server.wire.schema import (
    COUNT,
    FLAG,
    MODEL,
    PASSAGES,
    QUERY,
    QUESTION,
    TEXTS,
    an_example,
    an_object,
)  # fmt: skip


class Voyage(JsonFormat):
    """Voyage's API; ``results`` repeats ``data`` for clients of other APIs that send ``top_k``."""

    name = "Voyage"
    paths = ("/voyage/v1/rerank", "/voyage/rerank")
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=TEXTS, top_k=COUNT,
        return_documents=FLAG, truncation=FLAG,
    )  # fmt: skip
    example = an_example(model="rerank", query=QUESTION, documents=PASSAGES, top_k=1)

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(
            fields.query(),
            fields.documents(),
            fields.top_n("top_k") or fields.top_n(),
            return_documents=fields.flag("return_documents", default=False),
            truncate=fields.flag("truncation", default=True),
            model=fields.model(),
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        data = rows(answer, as_string)
        return {
            "object": "list",
            "data": data,
            "results": data,
            "model": answer.model,
            "usage": usage(answer),
            "meta": meta(answer, "1"),
        }
