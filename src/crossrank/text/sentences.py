"""Where sentences begin and end."""

from __future__ import annotations

import re
from collections.abc import Iterator

# The end of a sentence, with what closes it: before white space, or anywhere in scripts without spaces.
_END = re.compile(
    r"""[.!?…]+["'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*|\n[ \t]*\n|\n(?=[ \t]*(?:[-*•#|]|\d+[.)])[ \t])"""
)
# What a full stop does not end a sentence after: an initial, the number of a list's entry, an abbreviation.
_NO_END = re.compile(
    r"(?:^|[\s(.])(?:[^\W\d_]|mrs?|ms|dr|prof|st|jr|sr|vs|etc|e\.g|i\.e|cf|fig|no|vol|pp|approx|ca|z\.B|bzw)$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+")
# Longer than this without an end is rather a list, a table or code, whose lines are its parts.
_LONGEST = 400


def sentences(text: str) -> list[tuple[int, int]]:
    """The sentences of a text, by rules that need no model.

    A sentence ends with its punctuation mark, a blank line, or before an entry of a list. What has more than
    400 characters without any is split at its lines.

    Args:
        text: The text, in any language whose sentences end with ``.``, ``!``, ``?``, ``…``, ``。``, ``！`` or
            ``？``.

    Returns:
        The character offsets of each sentence's begin and end, without white space around it. All that is
        not white space is in one of them.

    Example:
        >>> text = "Dr. Lee bakes. Who eats?  We do."
        >>> [text[start:end] for start, end in sentences(text)]
        ['Dr. Lee bakes.', 'Who eats?', 'We do.']
    """
    found: list[tuple[int, int]] = []
    for start, end in _between(text, _ends(text)):
        if end - start > _LONGEST:
            lines = [start + line.end() for line in re.finditer("\n", text[start:end])]
            found += _between(text, lines, start, end)
        else:
            found.append((start, end))
    return found


def _ends(text: str) -> Iterator[int]:
    start = 0
    for match in _END.finditer(text):
        before = text[start : match.start()].strip()
        if match[0] == "." and (_NO_END.search(before[-12:]) or _NUMBER.fullmatch(before)):
            continue
        following = text[match.end() :].lstrip()[:1] if match[0][0] in ".…" else ""
        if following.islower():
            continue
        start = match.end()
        yield start


def _between(
    text: str, ends: Iterator[int] | list[int], start: int = 0, stop: int | None = None
) -> Iterator[tuple[int, int]]:
    """The parts of a text between these places, stripped, without those that are blank."""
    stop = len(text) if stop is None else stop
    for end in (*ends, stop):
        part = text[start:end]
        if part.strip():
            yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())
        start = end
