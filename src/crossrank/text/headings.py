"""Headings of Markdown, which belong to the text below them."""

from __future__ import annotations

import re

# White space, which a splitter strips where it ends a passage, and none that it cuts at.
_BOUND = "\x1f"
# A line that begins with number signs (https://spec.commonmark.org/0.31.2/#atx-headings), or is underlined
# (https://spec.commonmark.org/0.31.2/#setext-headings).
_MARKED = r" {0,3}#{1,6}(?:[ \t][^\n]*)?\n"
_UNDERLINED = r"(?=[ \t]*\S)[^\n]+\n {0,3}(?:={2,}|-{2,})[ \t]*\n"
# With the blank lines below it; a heading that has no text below is bound to nothing.
_HEADING = re.compile(rf"^(?:{_MARKED}|{_UNDERLINED})(?:[ \t]*\n)*(?=[ \t]*\S)", re.MULTILINE)


def bind_headings(text: str) -> str:
    """A text of the same length in which no line ends between a heading and what stands below it.

    A splitter that cuts at the ends of lines keeps both together then.

    Example:
        >>> bind_headings("Text.\\n\\n# Heading\\n\\nMore.")
        'Text.\\n\\n# Heading\\x1f\\x1fMore.'
    """
    return _HEADING.sub(lambda heading: heading[0].replace("\n", _BOUND), text)
