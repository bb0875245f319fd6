"""The fields of a request's JSON object, in the forms in which clients send them.

Null counts as absent, "true" as true and "5" as 5: some applications send these. What cannot be meant is an
error that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crossrank.server.request import RequestError, RerankRequest, SentDocument

_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no", ""})
_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}


class EmptyError(RequestError):
    """The query is blank, or there are no documents."""


def parse_json(body: bytes | bytearray | str) -> Any:
    """The value of a JSON body, in UTF-8, UTF-16 or UTF-32.

    Raises:
        RequestError: It is not JSON.
    """
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError as error:
        raise RequestError(400, "the body is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not valid {error.encoding}; send JSON in UTF-8") from error
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def kind(value: Any) -> str:
    """What a JSON value is, for messages."""
    if value is None:
        return "missing or null"
    return _KINDS.get(type(value), "an object")


class Fields:
    """The fields of one request.

    Args:
        payload: What the body's JSON holds.
        status: The HTTP status of the errors.

    Raises:
        RequestError: It is not an object.

    Example:
        >>> fields = Fields({"query": "Who bakes bread?", "documents": ["Bakers."], "top_n": None})
        >>> fields.query(), fields.top_n(), fields.flag("return_documents", default=True)
        ('Who bakes bread?', None, True)
    """

    def __init__(self, payload: Any, *, status: int = 400) -> None:
        self._status = status
        if not isinstance(payload, Mapping):
            raise self.error(f"the body must be a JSON object; it is {kind(payload)}")
        self._payload = payload

    def error(self, message: str) -> RequestError:
        """An error to raise."""
        return RequestError(self._status, message)

    def __contains__(self, name: str) -> bool:
        return name in self._payload

    def get(self, name: str) -> Any:
        """A field as it came; None if it is absent."""
        return self._payload.get(name)

    def query(self, name: str = "query") -> str:
        """The query: a string, or an object with a string in ``text``.

        Raises:
            RequestError: It is neither, or blank.
        """
        value = self.get(name)
        if isinstance(value, Mapping):
            value = value.get("text")
        if not isinstance(value, str):
            raise self.error(f"{name} must be a string; it is {kind(value)}")
        if not value.strip():
            raise EmptyError(400, f"{name} is empty; send the question or the search terms")
        return value

    def documents(
        self, name: str = "documents", *, rank_fields: Sequence[str] | None = None
    ) -> list[SentDocument]:
        """The documents: strings, or objects with a string in ``text``.

        Args:
            name: The field that holds them.
            rank_fields: The fields of an object that are scored instead of ``text``. One is scored as it is,
                several as lines of ``name: value``.

        Raises:
            RequestError: It is no list, it is empty, or a document has no text.
        """
        values = self.get(name)
        if not isinstance(values, list):
            raise self.error(f"{name} must be a list; it is {kind(values)}")
        if not values:
            raise EmptyError(400, f"{name} is empty; send the texts to rank")
        return [
            SentDocument(value, value)
            if isinstance(value, str)
            else SentDocument(self._text(value, f"{name}[{position}]", rank_fields), value)
            for position, value in enumerate(values)
        ]

    def _text(self, document: Any, name: str, rank_fields: Sequence[str] | None) -> str:
        if isinstance(document, Mapping):
            if rank_fields:
                if len(rank_fields) == 1 and isinstance(document.get(rank_fields[0]), str):
                    return str(document[rank_fields[0]])
                lines = [f"{field}: {document[field]}" for field in rank_fields if field in document]
                if lines:
                    return "\n".join(lines)
                raise self.error(f"{name} has none of the fields to rank by, {', '.join(rank_fields)}")
            if isinstance(text := document.get("text"), str):
                return text
            if "image" in document:
                raise self.error(f"{name} is an image; this server ranks texts")
        raise self.error(
            f"{name} must be a string, or an object with a string in 'text'; it is {shown(document)}"
        )

    def strings(self, name: str) -> list[str] | None:
        """A list of strings; None if it is absent or empty.

        Raises:
            RequestError: It is anything else.
        """
        value = self.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
            raise self.error(f"{name} must be a list of strings; it is {shown(value)}")
        return value or None

    def top_n(self, name: str = "top_n") -> int | None:
        """How many results are asked for; None, for all, if it is absent or 0.

        Raises:
            RequestError: It is no whole number, or negative.
        """
        value = self.number(name)
        if value is not None and value < 0:
            raise self.error(f"{name} must be a whole number from 1; it is {value}")
        return value or None

    def number(self, name: str) -> int | None:
        """A whole number; None if it is absent.

        Raises:
            RequestError: It is anything else.
        """
        value = self.get(name)
        if isinstance(value, str):
            value = int(value) if value.isascii() and value.removeprefix("-").isdigit() else value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self.error(f"{name} must be a whole number; it is {shown(value)}")
        return value

    def tokens(self, name: str) -> int | None:
        """A number of tokens; None, for no limit, if it is absent, 0 or -1.

        Raises:
            RequestError: It is no whole number, or less.
        """
        value = self.number(name)
        if value is not None and value < -1:
            raise self.error(f"{name} must be a whole number from 1; it is {value}")
        return value if value and value > 0 else None

    def probability(self, name: str) -> float | None:
        """A number from 0 to 1; None if it is absent.

        Raises:
            RequestError: It is anything else.
        """
        value = self.get(name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1
        ):
            raise self.error(f"{name} must be a number from 0 to 1; it is {shown(value)}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false, also as a string.

        Raises:
            RequestError: It is neither.
        """
        value = self.get(name)
        if value is None:
            return default
        text = str(value).lower() if isinstance(value, str | int) else None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise self.error(f"{name} must be true or false; it is {shown(value)}")

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """One of several words, in any case, as it is in ``choices``; None if it is absent.

        Raises:
            RequestError: It is another word.
        """
        value = self.get(name)
        if value is None:
            return None
        for choice in choices:
            if isinstance(value, str) and value.lower() == choice.lower():
                return choice
        raise self.error(f"{name} must be one of {', '.join(choices)}; it is {shown(value)}")

    def model(self) -> str | None:
        """The name of a model; None if it is absent or empty.

        Raises:
            RequestError: It is no string.
        """
        value = self.get("model")
        if value is not None and not isinstance(value, str):
            raise self.error(f"model must be a string; it is {kind(value)}")
        return value or None


def with_own_fields(request: RerankRequest, fields: Fields) -> RerankRequest:
    """A request of any API with crossrank's own fields, which no API has.

    Raises:
        RequestError: A field is wrong.
    """
    windows = fields.number("best_windows")
    if windows is not None and windows < 1:
        raise fields.error(f"best_windows must be a whole number from 1; it is {windows}")
    on_truncation = fields.choice("on_truncation", ("warn", "error", "ignore"))
    long_documents: Any = fields.choice("long_documents", ("truncate", "windows", "first"))
    return replace(
        request,
        min_probability=fields.probability("min_probability"),
        long_documents=long_documents or "truncate",
        best_windows=windows or 1,
        explain=request.explain or fields.flag("explain", default=False),
        truncate=request.truncate and on_truncation != "error",
        warns=on_truncation != "ignore" and long_documents != "first",
    )


def shown(value: Any) -> str:
    """A JSON value in a message, shortened."""
    return f"{json.dumps(value):.80}"
