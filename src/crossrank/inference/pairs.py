"""Convert inputs to pairs: lists, tuples, generators, arrays and data frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from crossrank.errors import InputError

Pair: TypeAlias = tuple[str, str]


def as_pairs(given: Any) -> tuple[list[Pair], bool]:
    """Convert the argument of ``predict`` to (query, passage) pairs.

    Args:
        given: Pairs, or a single pair of two strings. Arrays and data frames [n, 2], series of pairs and any
            other iterables of pairs are accepted.

    Returns:
        The pairs, and whether a single pair was given.

    Raises:
        InputError: An item is not a pair of strings.

    Example:
        >>> as_pairs(["a question", "a passage"])
        ([('a question', 'a passage')], True)
        >>> as_pairs((question, "a passage") for question in ["one", "two"])
        ([('one', 'a passage'), ('two', 'a passage')], False)
    """
    items = _listed(given)
    # Like sentence-transformers, looks at the first item only.
    single = bool(items) and isinstance(items[0], str) and not isinstance(given, str)
    if single:
        items = [items]
    return [_pair(item, position) for position, item in enumerate(items)], single


def _listed(given: Any) -> list[Any]:
    # Arrays and series have tolist; pandas and polars frames have it after to_numpy.
    given = given.to_numpy() if hasattr(given, "to_numpy") else given
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"pair 0 must be two strings, [query, passage]; it is {given!r:.80}")
    return list(given)


def _pair(item: Any, position: int) -> Pair:
    item = item.tolist() if hasattr(item, "tolist") else item
    if isinstance(item, Sequence) and not isinstance(item, str) and len(item) == 2:
        query, passage = item
        if isinstance(query, str) and isinstance(passage, str):
            return query, passage
    raise InputError(f"pair {position} must be two strings, [query, passage]; it is {item!r:.80}")
