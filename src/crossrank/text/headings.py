"""Headings of Markdown, which belong to the text below them."""

from __future__ import annotations

import re

# White space that a splitter strips at the end of a passage, but does not split at.
_BOUND = "\x1f"
# A line that begins with number signs (https://spec.commonmark.org/0.31.2/#atx-headings), or is underlined
# (https://spec.commonmark.org/0.31.2/#setext-headings).
_MARKED = r" {0,3}#{1,6}(?:[ \t][^\n]*)?\n"
_UNDERLINED = r"(?=[ \t]*\S)[^\n]+\n {0,3}(?:={2,}|-{2,})[ \t]*\n"
# Includes the blank lines below it; a heading without text below it is not bound.
_HEADING = re.compile(rf"^(?:{_MARKED}|{_UNDERLINED})(?:[ \t]*\n)*(?=[ \t]*\S)", re.MULTILINE)


def bind_headings(text: str) -> str:
    """Replace the line ends between a heading and the text below it; the length stays the same.

    A splitter that splits at line ends then keeps both together.

    Example:
        >>> bind_headings("Text.\\n\\n# Heading\\n\\nMore.")
        'Text.\\n\\n# Heading\\x1f\\x1fMore.'
    """
    return _HEADING.sub(lambda heading: heading[0].replace("\n", _BOUND), text)
