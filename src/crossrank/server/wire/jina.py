"""Jina: ``/v1/rerank``, whose results hold their documents unless asked otherwise.

Read off the clients in LlamaIndex, LangChain, Haystack and LiteLLM: https://jina.ai/reranker
"""

from __future__ import annotations

from crossrank.server.request import RerankAnswer, RerankRequest
from crossrank.server.wire.fields import Fields
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
    an_example,
    an_object,
)  # fmt: skip


class Jina(JsonFormat):
    """Jina's API; ``truncation: false`` makes documents that are too long an error."""

    name = "Jina"
    paths = ("/jina/v1/rerank", "/jina/rerank")
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=COUNT,
        return_documents=FLAG, truncation=FLAG, max_doc_length=COUNT,
    )  # fmt: skip
    example = an_example(model="rerank", query=QUESTION, documents=PASSAGES, top_n=1)

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(
            fields.query(),
            fields.documents(),
            fields.top_n(),
            return_documents=fields.flag("return_documents", default=True),
            truncate=fields.flag("truncation", default=True),
            model=fields.model(),
            document_tokens=fields.tokens("max_doc_length"),
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return results_answer(answer, version="1")
