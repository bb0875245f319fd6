"""What happens when a text is longer than a model reads."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from crossrank.errors import InputError, TruncatedError, TruncationWarning

OnTruncation: TypeAlias = Literal["warn", "error", "ignore"]
"""``warn``: one :class:`crossrank.TruncationWarning` a call. ``error``: an InputError. ``ignore``: none."""


def check_on_truncation(on_truncation: str) -> None:
    """Refuse what is none.

    Raises:
        InputError: It is none.
    """
    if on_truncation not in get_args(OnTruncation):
        known = ", ".join(get_args(OnTruncation))
        raise InputError(f"on_truncation must be one of {known}; it is {on_truncation!r:.40}")


def truncation_notice(model: str, cut: Sequence[int], what: str, remedy: str) -> str | None:
    """A sentence about the texts that were cut; None if there are none.

    Args:
        model: The model's name.
        cut: How many tokens of each text were not read.
        what: What the texts are, such as ``candidates``.
        remedy: What to do about it.

    Example:
        >>> truncation_notice("my-model", [0, 30], "passages", "Split it.")
        '1 of 2 passages is longer than my-model reads: 30 tokens were not read. Split it.'
    """
    count, tokens = sum(map(bool, cut)), sum(cut)
    if not count:
        return None
    longer = f"{count} of {len(cut)} {what} {'is' if count == 1 else 'are'} longer than {model} reads"
    return f"{longer}: {tokens:,} tokens were not read. {remedy}"


def report_truncation(notice: str | None, on_truncation: OnTruncation) -> None:
    """Warn of truncated texts, or refuse them.

    Raises:
        InputError: There are some, and they are to be an error.
    """
    if notice is None or on_truncation == "ignore":
        return
    if on_truncation == "error":
        raise TruncatedError(notice)
    warnings.warn(notice, TruncationWarning, stacklevel=_callers_level())


def _callers_level() -> int:
    """The stack level of the code that called crossrank, which Python names in the warning."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "crossrank":
        level, frame = level + 1, frame.f_back
    return level - 1
