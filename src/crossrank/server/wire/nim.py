"""NVIDIA NIM: ``/v1/ranking`` with ``passages``, answered by logits.

Read off langchain-nvidia-ai-endpoints (1.5) and LiteLLM: https://docs.nvidia.com/nim/nemo-retriever/text-reranking
"""

from __future__ import annotations

from crossrank.server.request import RerankAnswer, RerankRequest
from crossrank.server.wire.fields import Fields
from crossrank.server.wire.json_format import JsonFormat
from crossrank.server.wire.results import usage
from crossrank.server.wire.schema import COUNT, MODEL, PASSAGES, QUESTION, TEXT_OBJECT, an_example, an_object


class Nim(JsonFormat):
    """NIM's API; ``top_k`` and ``top_n``, which only some of its servers know, are heeded."""

    name = "NVIDIA NIM"
    paths = ("/v1/ranking", "/ranking", "/nim/v1/ranking", "/nim/ranking")
    schema = an_object(
        ("query", "passages"),
        model=MODEL,
        query=TEXT_OBJECT,
        passages={"type": "array", "minItems": 1, "items": TEXT_OBJECT},
        truncate={"type": ["string", "null"], "enum": ["NONE", "END", None]},
        top_k=COUNT,
    )
    example = an_example(
        model="rerank",
        query={"text": QUESTION},
        passages=[{"text": text} for text in PASSAGES],
        truncate="END",
    )

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(
            fields.query(),
            fields.documents("passages"),
            fields.top_n("top_k") or fields.top_n(),
            raw_scores=True,
            truncate=fields.choice("truncate", ("NONE", "END")) != "NONE",
            model=fields.model(),
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return {
            "rankings": [{"index": result.index, "logit": result.logit} for result in answer.best()],
            "usage": usage(answer),
        }
