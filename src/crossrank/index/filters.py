"""Filters such as ``year>=2020``: parsed, and converted to SQL over the documents' metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from crossrank.errors import InputError

_FILTER = re.compile(
    r"\s*(?P<field>[^<>=!\s][^<>=!]*?)\s*(?P<operator>>=|<=|!=|==?|>|<)\s*(?P<value>.*?)\s*", re.S
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FLAGS = {"true": 1, "false": 0}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison with a field of a document's metadata.

    Attributes:
        field: The field's name, such as ``year``, ``source`` or ``page``.
        operator: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        text: The value to compare with, as text.

    Example:
        >>> Condition("year", ">=", "2020").text
        '2020'
    """

    field: str
    operator: str
    text: str


def as_sql(condition: Condition) -> tuple[str, list[object]]:
    """A condition as SQL on the table ``document``, with its parameters.

    A list matches if one of its elements does. ``!=`` is the negation of ``=``, so it also matches
    documents without the field. Numbers are compared as numbers, everything else as text, so dates in
    ISO 8601 are in order. An object never matches. ``title`` is the title of the document.
    """
    if condition.operator == "!=":
        same, compared = as_sql(Condition(condition.field, "=", condition.text))
        return f"NOT {same}", compared
    tests = [f"(item.type = 'text' AND item.value {condition.operator} ?)"]
    parameters: list[object] = [condition.text]
    if _NUMBER.fullmatch(condition.text):
        tests.append(f"(item.type IN ('integer', 'real') AND item.value {condition.operator} ?)")
        parameters.append(_number(condition.text))
    if condition.text.lower() in _FLAGS:
        tests.append(f"(item.type IN ('true', 'false') AND item.value {condition.operator} ?)")
        parameters.append(_FLAGS[condition.text.lower()])
    if condition.field == "title":
        return f"document.title {condition.operator} ?", [condition.text]
    # A quotation mark in a name would end the JSON path: SQLite cannot escape it.
    path = f"$.{json.dumps(condition.field, ensure_ascii=False)}"
    return (
        "(json_type(document.metadata, ?) IS NOT 'object' AND "
        f"EXISTS (SELECT 1 FROM json_each(document.metadata, ?) AS item WHERE {' OR '.join(tests)}))",
        [path, path, *parameters],
    )


def _number(text: str) -> float:
    """Parse a number; integers stay exact within SQLite's range."""
    return int(text) if text.lstrip("+-").isdecimal() and len(text) < 19 else float(text)


def parse_filters(filters: str | Iterable[str]) -> tuple[Condition, ...]:
    """Parse filters; a document must match all of them.

    Args:
        filters: Each ``FIELD OPERATOR VALUE``, with =, !=, <, <=, > or >=. A value may be quoted.

    Raises:
        InputError: A filter is malformed.

    Example:
        >>> parse_filters("year >= 2020")
        (Condition(field='year', operator='>=', text='2020'),)
    """
    return tuple(_parse(text) for text in ([filters] if isinstance(filters, str) else filters))


def _parse(text: str) -> Condition:
    found = _FILTER.fullmatch(text)
    if not found or '"' in found["field"] or found["value"].startswith(("=", "<", ">", "!")):
        raise InputError(
            f"the filter {text!r:.80} is not understood; write FIELD OPERATOR VALUE, such as 'year>=2020' or "
            "'lang=en' (operators: = != < <= > >=)"
        )
    value = found["value"].encode("utf-8", errors="replace").decode()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return Condition(found["field"], found["operator"].replace("==", "="), value)
