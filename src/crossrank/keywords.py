"""Keyword arguments: old names that are still accepted, and an error that suggests the closest name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import ParamSpec, TypeVar

from crossrank.errors import UnknownKeywordError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def checked_keywords(
    **renamed: str | None,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorate a function so that an unknown keyword raises an error that suggests the closest known one.

    Args:
        renamed: Old names to new names; None for a keyword that is accepted but has no effect. If both the
            old and the new name are given, the new one is used.

    Raises:
        UnknownKeywordError: When the function is called with an unknown keyword.

    Example:
        >>> @checked_keywords(top_k="top_n", num_workers=None)
        ... def rank(top_n=None):
        ...     return top_n
        >>> rank(top_k=3, num_workers=2)
        3
        >>> rank(topn=3)
        Traceback (most recent call last):
        crossrank.errors.UnknownKeywordError: rank() has no keyword 'topn'; did you mean 'top_n'?
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        known = [name for name in inspect.signature(function).parameters if name != "self"]
        shown = function.__qualname__.removesuffix(".__init__")

        @functools.wraps(function)
        def checked(*args: Parameters.args, **given: Parameters.kwargs) -> Result:
            for old in renamed.keys() & given.keys():
                value, new = given.pop(old), renamed[old]
                if new is not None:
                    given.setdefault(new, value)
            if unknown := [name for name in given if name not in known]:
                raise UnknownKeywordError(
                    f"{shown}() has no keyword {unknown[0]!r}{nearest(unknown[0], known)}"
                )
            return function(*args, **given)

        return checked

    return decorate


def nearest(name: str, known: Collection[str]) -> str:
    """The end of an error message: the closest known name, or else all known names.

    Example:
        >>> nearest("topn", ["query", "top_n"])
        "; did you mean 'top_n'?"
        >>> nearest("colour", ["query", "top_n"])
        '; there are query, top_n'
    """
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
