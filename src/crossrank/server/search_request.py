"""What a caller of POST /search asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from crossrank.errors import InputError
from crossrank.index.filters import parse_filters
from crossrank.inference.truncation import OnTruncation, check_on_truncation
from crossrank.ranking.long_documents import LongDocuments, check_long_documents
from crossrank.ranking.reranker import check_query
from crossrank.server.request import RequestError

MAX_CANDIDATES = 1000
"""The most candidates that one search reranks."""

_MAX_QUERY = 10_000
_MAX_FILTERS = 50

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["query"],
    "additionalProperties": False,
    "properties": {
        "query": {"type": "string", "minLength": 1, "maxLength": _MAX_QUERY, "description": "The question."},
        "filters": {
            "description": "Conditions on the metadata, such as year>=2020; all must hold.",
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "maxItems": _MAX_FILTERS},
            ],
            "default": [],
        },
        "candidates": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_CANDIDATES,
            "default": 20,
            "description": "How many passages the first stage passes to the reranker.",
        },
        "top_n": {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}],
            "default": 10,
            "description": "How many hits to return; null for all candidates.",
        },
        "min_probability": {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}],
            "default": None,
            "description": "Return only hits of at least this probability; none if nothing is relevant. For "
            "calibrated models.",
        },
        "explain": {
            "type": "boolean",
            "default": False,
            "description": "Whether hits have spans: the sentences and words that their score comes from.",
        },
        "long_documents": {
            "enum": ["truncate", "windows", "first"],
            "default": "truncate",
            "description": "How to read passages that are longer than the model reads: truncate cuts off "
            "their end, windows reads all of them, first the first window.",
        },
        "best_windows": {
            "type": "integer",
            "minimum": 1,
            "default": 1,
            "description": "The score of a passage in windows is the mean of this many of its best.",
        },
        "on_truncation": {
            "enum": ["warn", "error", "ignore"],
            "default": "warn",
            "description": "What to do if the end of a passage was not read: warn in notices, answer with an "
            "error, or neither.",
        },
    },
}
"""The body as a JSON schema."""

EXAMPLE = {"query": "How should potatoes be stored?", "filters": [], "candidates": 20, "top_n": 3}


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A question to an index.

    Attributes:
        query: The question.
        filters: Conditions on the metadata; see :meth:`crossrank.Index.retrieve`.
        candidates: How many passages the first stage passes to the reranker.
        top_n: How many hits to return; None for all candidates.
        explain: Whether hits have the sentences and words that their score comes from.
        min_probability: The least probability of a hit; None for all hits.
        long_documents: How passages are read that are longer than the model reads; see
            :meth:`crossrank.Reranker.rank`, and so are the next two.
        best_windows: How many windows of a passage count.
        on_truncation: What to do if a passage was not read to its end.
    """

    query: str
    filters: tuple[str, ...] = ()
    candidates: int = 20
    top_n: int | None = 10
    explain: bool = False
    min_probability: float | None = None
    long_documents: LongDocuments = "truncate"
    best_windows: int = 1
    on_truncation: OnTruncation = "warn"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SearchRequest:
        """Check the values of a request.

        Raises:
            RequestError: One of them cannot be used (400).

        Example:
            >>> SearchRequest.of({"query": "Who bakes bread?", "filters": "year>=2020"}).filters
            ('year>=2020',)
        """
        check_names(values, SCHEMA)
        if "query" not in values:
            raise RequestError(400, 'query is missing; send {"query": "Your question?"}')
        filters = values.get("filters", [])
        filters = [filters] if isinstance(filters, str) else filters
        if not isinstance(filters, list) or not all(isinstance(one, str) for one in filters):
            raise RequestError(400, 'filters must be a list of strings, such as ["year>=2020"]')
        if len(filters) > _MAX_FILTERS:
            raise RequestError(400, f"there are {len(filters)} filters; at most {_MAX_FILTERS} are taken")
        try:
            check_query(values["query"])
            parse_filters(filters)
        except InputError as error:
            raise RequestError(400, str(error)) from error
        if len(values["query"]) > _MAX_QUERY:
            raise RequestError(
                400, f"the question has {len(values['query']):,} characters; at most {_MAX_QUERY:,} are taken"
            )
        top_n = values.get("top_n", 10)
        explain = values.get("explain", False)
        if not isinstance(explain, bool):
            raise RequestError(400, f"explain must be true or false; it is {explain!r:.40}")
        return cls(
            values["query"],
            tuple(filters),
            count("candidates", values.get("candidates", 20), MAX_CANDIDATES),
            None if top_n is None else count("top_n", top_n),
            explain,
            probability("min_probability", values.get("min_probability")),
            **reading(values),
        )


def reading(values: Mapping[str, Any]) -> dict[str, Any]:
    """How to read long texts, of the values of a request.

    Raises:
        RequestError: One of them cannot be used (400).

    Example:
        >>> reading({"long_documents": "windows"})
        {'long_documents': 'windows', 'best_windows': 1, 'on_truncation': 'warn'}
    """
    long_documents = values.get("long_documents", "truncate")
    best_windows = count("best_windows", values.get("best_windows", 1))
    on_truncation = values.get("on_truncation", "warn")
    try:
        check_long_documents(long_documents, best_windows)
        check_on_truncation(on_truncation)
    except InputError as error:
        raise RequestError(400, str(error)) from error
    return {
        "long_documents": long_documents,
        "best_windows": best_windows,
        "on_truncation": on_truncation,
    }


def probability(name: str, value: Any) -> float | None:
    """A number from 0 to 1, or None.

    Raises:
        RequestError: It is neither (400).

    Example:
        >>> probability("min_probability", 0.5)
        0.5
    """
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1):
        return value
    raise RequestError(400, f"{name} must be a number from 0 to 1; it is {value!r:.40}")


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        RequestError: It is none (400).
    """
    try:
        values = json.loads(body.decode("utf-8"))
    # ValueError: not UTF-8, not JSON, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is not JSON ({error!s:.100}); send an object in UTF-8") from error
    if not isinstance(values, dict):
        raise RequestError(400, 'the body must be a JSON object, such as {"query": "Your question?"}')
    return values


def check_names(values: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raise RequestError (400) if there are fields that the schema does not have."""
    known = list(schema["properties"])
    if unknown := [name for name in values if name not in known]:
        near = get_close_matches(unknown[0], known, 1)
        advice = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(known)}"
        raise RequestError(400, f"there is no field {unknown[0]!r:.60}; {advice}")


def count(name: str, value: object, most: int | None = None) -> int:
    """A whole number from 1.

    Raises:
        RequestError: It is none, or more than ``most`` (400).

    Example:
        >>> count("top_n", 3)
        3
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(400, f"{name} must be a whole number; it is {value!r:.40}")
    if value < 1 or (most is not None and value > most):
        limits = "at least 1" if most is None else f"from 1 to {most:,}"
        raise RequestError(400, f"{name} must be {limits}; it is {str(value)[:20]}")
    return value
