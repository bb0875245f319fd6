"""infinity: ``/rerank``, whose documents are strings in both directions.

Read off the infinity_client package (0.0.78) and LiteLLM: https://github.com/michaelfeil/infinity
"""

from __future__ import annotations

import time

from crossrank.server.request import RerankAnswer, RerankRequest
from crossrank.server.wire.fields import Fields
from crossrank.server.wire.json_format import JsonFormat
from crossrank.server.wire.results import as_string, results_answer
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

# What its client sends where no model was named.
NO_MODEL = "default/not-specified"


class Infinity(JsonFormat):
    """infinity's API; ``raw_scores`` asks for logits."""

    name = "infinity"
    paths = ("/infinity/rerank", "/infinity/v1/rerank")
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=TEXTS, top_n=COUNT,
        return_documents=FLAG, raw_scores=FLAG,
    )  # fmt: skip
    example = an_example(query=QUESTION, documents=PASSAGES, return_documents=True)

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        model = fields.model()
        return RerankRequest(
            fields.query(),
            fields.documents(),
            fields.top_n(),
            return_documents=fields.flag("return_documents", default=False),
            raw_scores=fields.flag("raw_scores", default=False),
            model=None if model == NO_MODEL else model,
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        own = {"object": "rerank", "created": int(time.time())}
        return results_answer(answer, as_string, version="1") | own
