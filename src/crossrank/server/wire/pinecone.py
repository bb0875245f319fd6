"""Pinecone: ``/rerank`` over objects with ``rank_fields``, answered in ``data`` with ``score``.

Read off the pinecone package (10.2): https://docs.pinecone.io/reference/api/inference/rerank
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossrank.server.request import RequestError, RerankAnswer, RerankRequest
from crossrank.server.wire.fields import Fields, kind
from crossrank.server.wire.json_format import JsonFormat
from crossrank.server.wire.results import as_object, error_body, rows
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


class Pinecone(JsonFormat):
    """Pinecone's API; ``parameters: {"truncate": "NONE"}`` makes documents that are too long an error."""

    name = "Pinecone"
    paths = ("/pinecone/rerank",)
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=COUNT,
        return_documents=FLAG, rank_fields=STRINGS, parameters={"type": ["object", "null"]},
    )  # fmt: skip
    example = an_example(
        model="rerank",
        query=QUESTION,
        documents=[{"id": str(i), "text": text} for i, text in enumerate(PASSAGES)],
        rank_fields=["text"],
        top_n=1,
    )

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        parameters = fields.get("parameters")
        if parameters is not None and not isinstance(parameters, Mapping):
            raise fields.error(f"parameters must be an object; it is {kind(parameters)}")
        truncate = Fields(parameters or {}).choice("truncate", ("NONE", "END"))
        return RerankRequest(
            fields.query(),
            fields.documents(rank_fields=fields.strings("rank_fields")),
            fields.top_n(),
            return_documents=fields.flag("return_documents", default=True),
            truncate=truncate != "NONE",
            model=fields.model(),
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return {
            "model": answer.model,
            "data": rows(answer, as_object, score="score"),
            "usage": {"rerank_units": 1},
        }

    def error(self, error: RequestError) -> dict[str, Any]:
        """See :class:`JsonFormat`; Pinecone's own has ``status`` and ``error.message``."""
        return {**error_body(error), "status": error.status}
