"""vLLM: ``/rerank``, whose results always hold their documents, and ``/score``.

Read off its source (0.33): https://docs.vllm.ai/en/latest/models/pooling_models
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from crossrank.server.request import RerankAnswer, RerankRequest, SentDocument
from crossrank.server.wire.fields import EmptyError, Fields, kind
from crossrank.server.wire.json_format import JsonCall, JsonFormat
from crossrank.server.wire.results import meta, results_answer
from crossrank.server.wire.schema import (
    COUNT,
    DOCUMENTS,
    FLAG,
    MODEL,
    PASSAGES,
    QUERY,
    QUESTION,
    STRING,
    STRINGS,
    an_example,
    an_object,
)  # fmt: skip

# The pairs of names that /score has had for its two sides.
_SIDES = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))

_SIDE: dict[str, Any] = {"oneOf": [STRING, {**STRINGS, "minItems": 1}]}


class VllmRerank(JsonFormat):
    """``/rerank``; ``use_activation: false`` asks for logits."""

    name = "vLLM rerank"
    paths = ("/vllm/rerank", "/vllm/v1/rerank", "/vllm/v2/rerank")
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=COUNT,
        use_activation=FLAG, truncate_prompt_tokens={**COUNT, "minimum": -1},
    )  # fmt: skip
    example = an_example(query=QUESTION, documents=PASSAGES, top_n=1)

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(
            fields.query(),
            fields.documents(),
            fields.top_n(),
            return_documents=fields.flag("return_documents", default=True),
            raw_scores=not fields.flag("use_activation", default=True),
            model=fields.model(),
            document_tokens=fields.tokens("max_tokens_per_doc"),
            pair_tokens=fields.tokens("truncate_prompt_tokens"),
            keep_end=fields.choice("truncation_side", ("left", "right")) == "left",
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return results_answer(answer, version="1") | {"id": f"score-{uuid.uuid4().hex}"}


class VllmScore(JsonFormat):
    """``/score``: one text with each of several, or several in pairs; scores in the order of the texts."""

    name = "vLLM score"
    paths = ("/score", "/v1/score", "/vllm/score", "/vllm/v1/score")
    schema = an_object(("text_1", "text_2"), text_1=_SIDE, text_2=_SIDE, model=MODEL, use_activation=FLAG)
    example = an_example(text_1=QUESTION, text_2=PASSAGES)

    def call(self, payload: Any) -> JsonCall:
        """See :class:`JsonFormat`."""
        fields = Fields(payload, status=self.invalid)
        for names in _SIDES:
            if names[0] in fields and names[1] in fields:
                break
        else:
            raise fields.error("send the texts to compare as text_1 and text_2, each a string or a list")
        left, right = (_texts(fields, name) for name in names)
        if len(left) == 1:
            left *= len(right)
        if len(left) != len(right):
            raise fields.error(
                f"{names[0]} has {len(left)} texts and {names[1]} has {len(right)}; send one text in "
                f"{names[0]}, or as many as in {names[1]}"
            )
        raw = not fields.flag("use_activation", default=True)
        requests = [
            RerankRequest(
                query,
                [SentDocument(text, text) for _, text in pairs],
                raw_scores=raw,
                model=fields.model(),
                pair_tokens=fields.tokens("truncate_prompt_tokens"),
            )
            for query, pairs in groupby(zip(left, right, strict=True), key=lambda pair: pair[0])
        ]
        return JsonCall(self, requests)

    def answers(self, answers: Sequence[RerankAnswer], form: Any) -> object:
        """See :class:`JsonFormat`."""
        results = [result for answer in answers for result in answer.results]
        tokens = sum(answer.tokens for answer in answers)
        return {
            "id": f"score-{uuid.uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": answers[0].model,
            "data": [
                {"index": index, "object": "score", "score": result.score}
                for index, result in enumerate(results)
            ],
            "usage": {
                "prompt_tokens": tokens,
                "total_tokens": tokens,
                "completion_tokens": 0,
                "prompt_tokens_details": None,
            },
            "meta": meta(RerankAnswer(answers[0].request, results, answers[0].model), "1"),
        }

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return self.answers([answer], None)


def _texts(fields: Fields, name: str) -> list[str]:
    value = fields.get(name)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise EmptyError(400, f"{name} is empty; send at least one text")
    for position, text in enumerate(values):
        if not isinstance(text, str):
            where = f"{name}[{position}]" if isinstance(value, list) else name
            raise fields.error(f"{where} must be a string; it is {kind(text)}")
    return values
