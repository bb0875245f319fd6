"""Weaviate's module reranker-transformers: ``/rerank`` with ``property``, answered in the documents' order.

Read off the module's client: https://github.com/weaviate/weaviate/tree/main/modules/reranker-transformers
"""

from __future__ import annotations

from crossrank.server.request import RequestError, RerankAnswer, RerankRequest
from crossrank.server.wire.fields import Fields
from crossrank.server.wire.json_format import JsonFormat
from crossrank.server.wire.schema import PASSAGES, QUERY, QUESTION, STRING, TEXTS, an_example, an_object


class Weaviate(JsonFormat):
    """The module's API."""

    name = "Weaviate"
    paths = ("/weaviate/rerank",)
    schema = an_object(("query", "documents"), query=QUERY, documents=TEXTS, property=STRING)
    example = an_example(query=QUESTION, documents=PASSAGES, property="")

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(fields.query(), fields.documents())

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return {
            "query": answer.request.query,
            "scores": [
                {"document": result.document.text, "score": result.score} for result in answer.results
            ],
        }

    def error(self, error: RequestError) -> dict[str, str]:
        """``{"error": message}``."""
        return {"error": str(error)}
