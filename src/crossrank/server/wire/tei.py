"""text-embeddings-inference (TEI): ``/rerank`` with ``texts``, answered by a bare list, and ``/predict``.

Read off its source (1.9): https://huggingface.github.io/text-embeddings-inference
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crossrank.server.request import RequestError, RerankAnswer, RerankRequest, SentDocument
from crossrank.server.wire.fields import EmptyError, Fields, kind
from crossrank.server.wire.json_format import JsonCall, JsonFormat
from crossrank.server.wire.schema import (
    COUNT,
    FLAG,
    PASSAGES,
    QUERY,
    QUESTION,
    STRING,
    STRINGS,
    TEXTS,
    an_example,
    an_object,
)  # fmt: skip

# TEI's name for what went wrong, by the status of the error.
_TYPES = {429: "overloaded", 424: "backend", 500: "backend", 503: "unhealthy"}


class _Tei(JsonFormat):
    invalid = 422

    def error(self, error: RequestError) -> dict[str, str]:
        """``{"error": message, "error_type": type}``."""
        kind_of_error = "empty" if isinstance(error, EmptyError) else _TYPES.get(error.status, "validation")
        return {"error": str(error), "error_type": kind_of_error}


class TeiRerank(_Tei):
    """``/rerank``; ``top_n``, which TEI itself ignores, is heeded: Elasticsearch and LiteLLM send it."""

    name = "TEI rerank"
    paths = ("/tei/rerank", "/tei", "/tei/", "/tei/v1/rerank", "/tei/invocations")
    schema = an_object(
        ("query", "texts"), query=QUERY, texts=TEXTS, truncate=FLAG, raw_scores=FLAG, return_text=FLAG,
        top_n=COUNT, truncation_direction={"type": ["string", "null"], "enum": ["Left", "Right", None]},
    )  # fmt: skip
    example = an_example(query=QUESTION, texts=PASSAGES, return_text=True)

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(
            fields.query(),
            fields.documents("texts"),
            fields.top_n(),
            return_documents=fields.flag("return_text", default=False),
            raw_scores=fields.flag("raw_scores", default=False),
            truncate=fields.flag("truncate", default=True),
            model=fields.model(),
            keep_end=fields.choice("truncation_direction", ("left", "right")) == "left",
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        with_text = answer.request.return_documents
        return [
            {"index": result.index}
            | ({"text": result.document.text} if with_text else {})
            | {"score": result.score}
            for result in answer.best()
        ]


class TeiPredict(_Tei):
    """``/predict``: one pair, or a list of pairs. A text alone is refused, since a reranker reads pairs.

    A flat list of two strings is one pair, as in TEI.
    """

    name = "TEI predict"
    paths = ("/predict", "/tei/predict")
    _pair: Mapping[str, Any] = {**STRINGS, "minItems": 2, "maxItems": 2}
    schema = an_object(
        ("inputs",),
        inputs={"oneOf": [_pair, {"type": "array", "items": _pair, "minItems": 1}]},
        truncate=FLAG,
        raw_scores=FLAG,
        model=STRING,
    )
    example = an_example(inputs=[[QUESTION, text] for text in PASSAGES])

    def call(self, payload: Any) -> JsonCall:
        """See :class:`JsonFormat`."""
        fields = Fields(payload, status=self.invalid)
        inputs = fields.get("inputs")
        if inputs == [] or inputs == "":
            raise EmptyError(400, "inputs is empty; send a pair, or a list of pairs")
        single = isinstance(inputs, list) and all(isinstance(text, str) for text in inputs)
        pairs = [inputs] if single else inputs
        if not isinstance(pairs, list):
            raise fields.error(f"inputs must be a pair of strings or a list of pairs; it is {kind(inputs)}")
        raw, truncate = fields.flag("raw_scores", default=False), fields.flag("truncate", default=True)
        requests = []
        for position, pair in enumerate(pairs):
            if not (
                isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
            ):
                raise fields.error(f"inputs[{position}] must be two strings, [query, passage]: "
                                   "the model reads pairs")  # fmt: skip
            query, text = pair
            requests.append(
                RerankRequest(query, [SentDocument(text, text)], raw_scores=raw, truncate=truncate,
                              model=fields.model())
            )  # fmt: skip
        return JsonCall(self, requests, single)

    def answers(self, answers: Sequence[RerankAnswer], form: Any) -> object:
        """A list of labels with scores for each pair; of one pair, its list alone."""
        given = [self.answer(answer) for answer in answers]
        return given[0] if form else given

    def answer(self, answer: RerankAnswer) -> list[dict[str, Any]]:
        """See :class:`JsonFormat`."""
        return [{"score": result.score, "label": "LABEL_0"} for result in answer.results]
