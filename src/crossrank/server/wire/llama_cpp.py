"""llama.cpp's server: ``/reranking``, and ``/rerank`` for ``texts`` as well as ``documents``.

Read off its source: https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from __future__ import annotations

from typing import Any

from crossrank.server.request import RequestError, RerankAnswer, RerankRequest
from crossrank.server.wire.fields import Fields
from crossrank.server.wire.json_format import JsonCall, JsonFormat
from crossrank.server.wire.results import error_body, results_answer
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
)
from crossrank.server.wire.tei import TeiRerank


class LlamaCpp(JsonFormat):
    """llama.cpp's API, with two differences: scores are from 0 to 1, and ``top_n: 0`` means all."""

    name = "llama.cpp"
    paths = (
        "/reranking", "/v1/reranking", "/llamacpp/rerank", "/llamacpp/reranking", "/llamacpp/v1/rerank",
        "/llamacpp/v1/reranking",
    )  # fmt: skip
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=TEXTS, top_n=COUNT, raw_scores=FLAG
    )
    example = an_example(query=QUESTION, documents=PASSAGES, top_n=1)

    def call(self, payload: Any) -> JsonCall:
        """See :class:`JsonFormat`; a body with ``texts`` is TEI's."""
        if isinstance(payload, dict) and "texts" in payload:
            return TeiRerank().call(payload)
        return super().call(payload)

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(
            fields.query(),
            fields.documents(),
            fields.top_n(),
            raw_scores=fields.flag("raw_scores", default=False),
            model=fields.model(),
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return results_answer(answer, version="1")

    def error(self, error: RequestError) -> Any:
        """See :class:`JsonFormat`."""
        return error_body(error)
