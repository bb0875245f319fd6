"""Parts of the JSON schemas of requests."""

from __future__ import annotations

from typing import Any

STRING: dict[str, Any] = {"type": "string"}
STRINGS: dict[str, Any] = {"type": "array", "items": STRING}
FLAG: dict[str, Any] = {"type": ["boolean", "null"]}
COUNT: dict[str, Any] = {"type": ["integer", "null"], "minimum": 0}
PROBABILITY: dict[str, Any] = {
    "type": ["number", "null"],
    "minimum": 0,
    "maximum": 1,
    "description": "Return only results of at least this probability, if the model is calibrated.",
}
OWN: dict[str, Any] = {
    "min_probability": PROBABILITY,
    "long_documents": {
        "type": ["string", "null"],
        "enum": ["truncate", "windows", "first", None],
        "description": "How to read documents that are longer than the model reads: truncate (the default) "
        "cuts off their end, windows reads all of them, first the first window.",
    },
    "best_windows": {
        **COUNT,
        "minimum": 1,
        "description": "The score of a document in windows is the mean of this many of its best; by default "
        "1.",
    },
    "on_truncation": {
        "type": ["string", "null"],
        "enum": ["warn", "error", "ignore", None],
        "description": "What to do if the end of a document was not read: warn in meta.warnings, if the API "
        "has that (the default), answer with an error, or neither.",
    },
    "explain": {
        **FLAG,
        "description": "Whether results have spans, the sentences and words that their score comes from, and "
        "their window, if the API has results.",
    },
}
"""The fields that all APIs with a list of documents have here."""
MODEL: dict[str, Any] = {"type": ["string", "null"], "description": "The name of a model on this server."}
QUERY: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": r"\S"}
TEXTS: dict[str, Any] = {**STRINGS, "minItems": 1}
TEXT_OBJECT: dict[str, Any] = {"type": "object", "properties": {"text": STRING}, "required": ["text"]}
DOCUMENTS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"oneOf": [STRING, TEXT_OBJECT]},
}
QUESTION = "Who bakes bread?"
PASSAGES = ["A tide table.", "Bakers bake bread."]


def an_object(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object; the first properties are required.

    With a list of documents, it may have crossrank's own fields.
    """
    if {"documents", "texts", "passages"} & properties.keys():
        properties |= OWN
    return {"type": "object", "properties": properties, "required": list(required)}


def an_example(**fields: Any) -> dict[str, Any]:
    """A request with these fields."""
    return fields
