"""Notices about content that was skipped or repaired while reading files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias


class NoticeKind(Enum):
    """What a notice is about: content that was skipped or repaired."""

    LEFT_OUT = "left out"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice about content that was skipped or repaired.

    Attributes:
        kind: Whether it was skipped or repaired.
        text: The sentence for the user.
        folder: The folder that cannot be read; None if the notice is not about a folder.
    """

    kind: NoticeKind
    text: str
    folder: Path | None = None


Notify: TypeAlias = Callable[[Notice], object]
"""Called with each notice."""


def left_out(text: str, *, folder: Path | None = None) -> Notice:
    """A notice about a file, folder, page, row or record that was skipped."""
    return Notice(NoticeKind.LEFT_OUT, text, folder)


def repaired(name: str, encoding: str) -> Notice:
    """A notice about a file with bytes that are invalid in its encoding.

    Example:
        >>> repaired("old.txt", "UTF-8").text
        'old.txt holds bytes that are not UTF-8; they were read as U+FFFD'
    """
    text = f"{name} holds bytes that are not {encoding}; they were read as U+FFFD"
    return Notice(NoticeKind.REPAIRED, text)


def ignore(notice: Notice) -> None:
    """Ignore a notice."""
