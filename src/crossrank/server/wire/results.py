"""The answer that most APIs share: results with index and relevance score, usage, and meta.

Clients read the keys they know and skip the others, so that the results of one API serve those of others.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from crossrank.server.request import RelevantSpans, RequestError, RerankAnswer, Result, SentDocument

# Cohere counts a query with up to 100 documents as one search unit.
_DOCUMENTS_A_SEARCH_UNIT = 100
_NAMED = 10

As = Callable[[SentDocument], Any]


def as_object(document: SentDocument) -> Any:
    """A document as an object with its text, and with all fields that the caller sent."""
    return document.sent if isinstance(document.sent, Mapping) else {"text": document.text}


def as_string(document: SentDocument) -> str:
    """A document as its text."""
    return document.text


def results_answer(answer: RerankAnswer, document: As = as_object, *, version: str = "2") -> dict[str, Any]:
    """``results``, best first, with ``id``, ``model``, ``usage`` and ``meta``.

    Args:
        answer: The answer.
        document: The form of documents in the results, if the request asked for them.
        version: The API's version in ``meta``.
    """
    return {
        "id": str(uuid.uuid4()),
        "object": "list",
        "model": answer.model,
        "results": rows(answer, document),
        "usage": usage(answer),
        "meta": meta(answer, version),
    }


def rows(answer: RerankAnswer, document: As = as_object, *, score: str = "relevance_score") -> list[Any]:
    """The best results as objects with ``index``, the score and, if known or asked for, more.

    ``probability`` is there if the model is calibrated, ``window`` if the document was read in windows, and
    ``document`` and ``spans`` if they were asked for.
    """
    found = []
    for result in answer.best():
        row: dict[str, Any] = {"index": result.index, score: result.score}
        if result.probability is not None:
            row["probability"] = result.probability
        if answer.request.return_documents:
            row["document"] = document(result.document)
        if result.window is not None:
            row["window"] = asdict(result.window)
        if answer.request.relevant_spans:
            row["relevant_spans"] = relevant_spans(result, answer.request.relevant_spans)
        elif answer.request.explain:
            row["spans"] = [span.to_dict() for span in result.spans]
        found.append(row)
    return found


def relevant_spans(result: Result, which: RelevantSpans) -> list[dict[str, Any]]:
    """Cohere's ``relevant_spans``: sentences with their scores, most relevant first."""
    return [
        {"start": span.start, "end": span.end, "score": span.weight}
        for span in result.spans[: which.most]
        if span.weight >= which.threshold
    ]


def usage(answer: RerankAnswer) -> dict[str, int]:
    """``prompt_tokens`` and ``total_tokens``, as OpenAI's clients read them."""
    return {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}


def meta(answer: RerankAnswer, version: str) -> dict[str, Any]:
    """Cohere's ``meta``, with a warning if documents were truncated."""
    units = max(1, -(-len(answer.results) // _DOCUMENTS_A_SEARCH_UNIT))
    own: dict[str, Any] = {
        "api_version": {"version": version},
        "billed_units": {"search_units": units},
        "tokens": {"input_tokens": answer.tokens, "output_tokens": 0},
    }
    if warning := truncation_warning(answer):
        own["warnings"] = [warning]
    return own


def truncation_warning(answer: RerankAnswer) -> str | None:
    """A sentence that names the documents of which the model did not read the end; None if there are none."""
    if not answer.request.warns:
        return None
    cut = [(result.index, result.truncated_tokens) for result in answer.results if result.truncated_tokens]
    if not cut:
        return None
    named = ", ".join(f"document {index} ({tokens} tokens not read)" for index, tokens in cut[:_NAMED])
    more = f" and {len(cut) - _NAMED} more" if len(cut) > _NAMED else ""
    remedy = 'Send "long_documents": "windows" to have all of them read.'
    return f"truncated to what the model reads: {named}{more}. {remedy}"


def error_body(error: RequestError) -> dict[str, Any]:
    """An error for all clients that read ``results``.

    Cohere's clients and LibreChat read ``message``; Jina's and Voyage's ``detail``; OpenAI's, LiteLLM's and
    vLLM's ``error``.
    """
    message = str(error)
    return {
        "message": message,
        "detail": message,
        "error": {"message": message, "type": _type(error.status), "param": None, "code": error.status},
    }


def _type(status: int) -> str:
    known = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    return known.get(status, "invalid_request_error" if status < 500 else "server_error")
