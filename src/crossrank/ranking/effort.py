"""How many of the candidates a reranker reads."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from crossrank.errors import InputError

Effort: TypeAlias = Literal["full", "fast"]
"""How much to read. ``full``: stop only when it is certain that the best are known. ``fast``: stop when it is
likely."""


def check_effort(effort: str) -> None:
    """Refuse what is no effort.

    Raises:
        InputError: It is none.
    """
    if effort not in get_args(Effort):
        raise InputError(f"effort must be one of {', '.join(get_args(Effort))}; it is {effort!r:.40}")
