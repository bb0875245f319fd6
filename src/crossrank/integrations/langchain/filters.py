"""Metadata filters, in the syntax of LangChain's FAISS store."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from crossrank.errors import InputError

Test: TypeAlias = Callable[[Mapping[str, Any]], bool]
Filter: TypeAlias = Test | Mapping[str, Any]

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": operator.eq,
    "$neq": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$in": lambda value, wanted: value in wanted,
    "$nin": lambda value, wanted: value not in wanted,
}
_ORDERING = frozenset({"$gt", "$gte", "$lt", "$lte"})


def metadata_test(given: Filter) -> Test:
    """Convert a filter to a test function.

    Args:
        given: A function of the metadata; or a mapping from fields to a value, a list of values, or
            comparisons (``{"year": {"$gte": 2020}}``), all of which must hold; ``$and``, ``$or`` and ``$not``
            combine mappings. Comparisons of a missing field, or with a value of another type, are false.

    Raises:
        InputError: It is neither a function nor a mapping, or has an unknown operator.

    Example:
        >>> test = metadata_test({"year": {"$gte": 2020}, "kind": ["essay", "speech"]})
        >>> test({"year": 2023, "kind": "speech"}), test({"kind": "speech"})
        (True, False)
    """
    if callable(given):
        return given
    if not isinstance(given, Mapping):
        raise InputError(f"filter must be a mapping or a function of the metadata; it is {given!r:.80}")
    tests = [_test(field, condition) for field, condition in given.items()]
    return lambda metadata: all(test(metadata) for test in tests)


def _test(field: str, condition: Any) -> Test:
    if field in {"$and", "$or"}:
        tests = [metadata_test(part) for part in condition]
        combine = all if field == "$and" else any
        return lambda metadata: combine(test(metadata) for test in tests)
    if field == "$not":
        negated = metadata_test(condition)
        return lambda metadata: not negated(metadata)
    if field.startswith("$"):
        raise InputError(f"filter has no operator {field!r}; those that combine are $and, $or and $not")
    if isinstance(condition, Mapping):
        if unknown := [name for name in condition if name not in _COMPARISONS]:
            raise InputError(f"filter has no operator {unknown[0]!r}; there are {', '.join(_COMPARISONS)}")
        comparisons = list(condition.items())
        return lambda metadata: all(_holds(name, metadata.get(field), value) for name, value in comparisons)
    if isinstance(condition, list):
        return lambda metadata: metadata.get(field) in condition
    return lambda metadata: bool(metadata.get(field) == condition)


def _holds(name: str, value: Any, wanted: Any) -> bool:
    try:
        return bool(_COMPARISONS[name](value, wanted))
    except TypeError:
        if name in _ORDERING:
            return False
        raise
