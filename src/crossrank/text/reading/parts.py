"""Convert a text to one document, or to several parts if it is long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text.reading.problems import NoTextError


def text_documents(
    chunks: Iterable[str],
    name: str,
    part_characters: int | None,
    *,
    title: str = "",
    metadata: Mapping[str, Any] | None = None,
    start: int = 0,
) -> Iterator[Document]:
    """Yield the documents of one text.

    Args:
        chunks: The text in chunks.
        name: The name of the file, and the id of the first part. A part that begins at character 700 of the
            file has the id ``name#char=700`` (RFC 5147, https://www.rfc-editor.org/rfc/rfc5147).
        part_characters: Maximum length of a part; None for the whole text as one document.
        title: The title of every part.
        metadata: The metadata of every part, in addition to ``source``. ``start`` is added if there are
            several parts, or the text does not begin at the beginning of the file.
        start: The offset of the text in the file, in characters.

    Raises:
        NoTextError: There is only white space.
        InputError: ``part_characters`` is below 1.
    """
    if part_characters is not None and part_characters < 1:
        raise InputError(f"part_characters must be at least 1; it is {part_characters}")
    given = {"source": name, **(metadata or {})}
    first: str | None = None
    holds_text, position = False, start
    for part in _parts(chunks, part_characters):
        holds_text = holds_text or not part.isspace()
        if position == start:
            first = part  # held back until it is known whether there is another part
        else:
            if first is not None:
                yield Document(name, first, title, {**given, "start": start})
                first = None
            yield Document(f"{name}#char={position}", part, title, {**given, "start": position})
        position += len(part)
    if not holds_text:
        raise NoTextError(f"{name} holds no text")
    if first is not None:
        yield Document(name, first, title, {**given, "start": start} if start else given)


def _parts(chunks: Iterable[str], size: int | None) -> Iterator[str]:
    if size is None:
        chunks, size = ["".join(chunks)], 0
    buffer = ""
    for chunk in chunks:
        buffer += chunk
        begin = 0
        while size and len(buffer) - begin > size:
            end = _cut(buffer, begin, begin + size)
            yield buffer[begin:end]
            begin = end
        buffer = buffer[begin:]
    if buffer:
        yield buffer


def _cut(text: str, begin: int, end: int) -> int:
    """The best place to end a part that begins at ``begin`` and ends at ``end`` at the latest."""
    for separator in ("\n\n", "\n"):
        if (found := text.rfind(separator, begin, end)) != -1:
            return found + len(separator)
    window = text[begin:end]
    if window[-1].isspace():
        return end
    last_word = window.rsplit(None, 1)[-1]
    return end - len(last_word) if len(last_word) < len(window) else end
