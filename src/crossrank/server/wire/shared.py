"""The paths that several APIs share; the body tells which API is meant.

A prefix in the base URL (``/cohere``, ``/jina``, ``/tei`` ...) names the API instead: see the formats' paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossrank.server.request import RequestError, RerankAnswer, RerankRequest
from crossrank.server.wire import Body
from crossrank.server.wire.cohere import CohereV1, CohereV2
from crossrank.server.wire.fields import Fields, parse_json
from crossrank.server.wire.infinity import Infinity
from crossrank.server.wire.json_format import JsonCall, JsonFormat
from crossrank.server.wire.nim import Nim
from crossrank.server.wire.pinecone import Pinecone
from crossrank.server.wire.results import error_body, results_answer
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
from crossrank.server.wire.tei import TeiRerank
from crossrank.server.wire.voyage import Voyage
from crossrank.server.wire.weaviate import Weaviate


class Results(JsonFormat):
    """A query with documents, without a mark of one API: the answer is one that Cohere's, Jina's and vLLM's
    clients read, with documents unless they were declined."""

    name = "results"
    paths = ()
    schema = an_object(
        ("query", "documents"), model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=COUNT,
        return_documents=FLAG, use_activation=FLAG, truncation=FLAG,
    )  # fmt: skip
    example = an_example(model="rerank", query=QUESTION, documents=PASSAGES, top_n=1)

    def request(self, fields: Fields) -> RerankRequest:
        """See :class:`JsonFormat`."""
        return RerankRequest(
            fields.query(),
            fields.documents(),
            fields.top_n(),
            return_documents=fields.flag("return_documents", default=True),
            raw_scores=not fields.flag("use_activation", default=True),
            truncate=fields.flag("truncation", default=True),
            model=fields.model(),
            document_tokens=fields.tokens("max_tokens_per_doc"),
            pair_tokens=fields.tokens("truncate_prompt_tokens"),
            keep_end=fields.choice("truncation_side", ("left", "right")) == "left",
        )

    def answer(self, answer: RerankAnswer) -> object:
        """See :class:`JsonFormat`."""
        return results_answer(answer, version="1")


class Shared:
    """A format that hands a body to the one that it is in; see :class:`crossrank.server.wire.WireFormat`.

    Args:
        paths: Where it is served.
        marks: The formats with the fields that only they have, in order of precedence.
        otherwise: The format of a body without such a field.
        texts_are_documents: Whether a body with ``texts`` is read as one with ``documents``, which Dify sends
            where it reads ``results``.
    """

    def __init__(
        self,
        *paths: str,
        marks: Mapping[str, JsonFormat],
        otherwise: JsonFormat,
        texts_are_documents: bool = False,
    ) -> None:
        self.paths = paths
        self._marks, self._otherwise = marks, otherwise
        self._texts_are_documents = texts_are_documents

    @property
    def formats(self) -> list[JsonFormat]:
        """The formats that a body may be in."""
        return list({format_.name: format_ for format_ in [self._otherwise, *self._marks.values()]}.values())

    def read(self, body: Body, content_type: str | None = None, accept: str | None = None) -> JsonCall:
        """Read a body in the format that it is in.

        Raises:
            RequestError: It is no request; ``wire`` is the format whose clients are to read that.
        """
        payload = parse_json(body)
        if not isinstance(payload, Mapping):
            return self._otherwise.call(payload)
        if self._texts_are_documents and "texts" in payload and "documents" not in payload:
            payload = {**payload, "documents": payload["texts"]}
        wire = next((wire for mark, wire in self._marks.items() if mark in payload), self._otherwise)
        try:
            return wire.call(payload)
        except RequestError as error:
            error.wire = wire
            raise

    def error(self, error: RequestError) -> Any:
        """An error in a format for all, where the body is in none."""
        return error_body(error)


_RESULTS, _COHERE_V1 = Results(), CohereV1()
RERANK = Shared(
    "/rerank",
    "/",
    marks={
        "texts": TeiRerank(),
        "property": Weaviate(),
        "rank_fields": Pinecone(),
        "top_k": Voyage(),
        "raw_scores": Infinity(),
        "passages": Nim(),
    },
    otherwise=_RESULTS,
)
RERANK_V1 = Shared(
    "/v1/rerank",
    "/v1/v1/rerank",
    marks={
        "top_k": Voyage(),
        "rank_fields": _COHERE_V1,
        "max_chunks_per_doc": _COHERE_V1,
        "raw_scores": Infinity(),
    },
    otherwise=_RESULTS,
    texts_are_documents=True,
)
RERANK_V2 = Shared(
    "/v2/rerank",
    "/v1/v2/rerank",
    marks={"top_k": Voyage(), "use_activation": _RESULTS},
    otherwise=CohereV2(),
    texts_are_documents=True,
)
SHARED = (RERANK, RERANK_V1, RERANK_V2)
