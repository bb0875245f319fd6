"""What a person should know of files that were read, or could not be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias


class NoticeKind(Enum):
    """What happened to what a notice is about."""

    LEFT_OUT = "left out"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that was left out or repaired.

    Attributes:
        kind: Which of the two.
        text: The sentence for a person.
        folder: The folder whose content is not known because it cannot be read; None where it is no folder.
    """

    kind: NoticeKind
    text: str
    folder: Path | None = None


Notify: TypeAlias = Callable[[Notice], object]
"""Called with each notice."""


def left_out(text: str, *, folder: Path | None = None) -> Notice:
    """A notice of a file, folder, page, row or record that was left out."""
    return Notice(NoticeKind.LEFT_OUT, text, folder)


def repaired(name: str, encoding: str) -> Notice:
    """A notice of a file with bytes that are not of its encoding.

    Example:
        >>> repaired("old.txt", "UTF-8").text
        'old.txt holds bytes that are not UTF-8; they were read as U+FFFD'
    """
    text = f"{name} holds bytes that are not {encoding}; they were read as U+FFFD"
    return Notice(NoticeKind.REPAIRED, text)


def ignore(notice: Notice) -> None:
    """Take a notice and do nothing with it."""
