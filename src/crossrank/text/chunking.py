"""Split a text into chunks like LangChain's ``RecursiveCharacterTextSplitter``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

PARAGRAPHS_LINES_WORDS = ("\n\n", "\n", " ")


def chunks(
    text: str, size: int, overlap: int, separators: Sequence[str] = PARAGRAPHS_LINES_WORDS
) -> Iterator[str]:
    """Split a text at paragraphs; split paragraphs that are too long at lines, words or characters.

    Neighbouring pieces are joined as long as they fit. Chunks are substrings of the text in order, without
    leading or trailing white space. The time is linear in the length of the text and the chunks.

    The rules are those of https://docs.langchain.com/oss/python/integrations/splitters/recursive_text_splitter.

    Args:
        text: The text.
        size: Maximum length of a chunk in characters; at least 1.
        overlap: Maximum number of characters that a chunk repeats from the previous one; below ``size``.
        separators: Where to split, in order of preference; then between characters.

    Example:
        >>> list(chunks("First paragraph.\\n\\nSecond, a longer one.", size=16, overlap=0))
        ['First paragraph.', 'Second, a', 'longer one.']
        >>> list(chunks("one two three four", size=10, overlap=4))
        ['one two', 'two three', 'four']
    """
    while separators and separators[0] not in text:
        separators = separators[1:]
    short: list[str] = []
    for piece in _pieces(text, separators[0]) if separators else text:
        if len(piece) < size:
            short.append(piece)
            continue
        yield from _joined(short, size, overlap)
        short.clear()
        if separators:
            yield from chunks(piece, size, overlap, separators[1:])
        else:
            yield piece
    yield from _joined(short, size, overlap)


def _pieces(text: str, separator: str) -> Iterator[str]:
    """Split before each separator."""
    first, *others = text.split(separator)
    if first:
        yield first
    for other in others:
        yield separator + other


def _joined(pieces: Iterable[str], size: int, overlap: int) -> Iterator[str]:
    """Join as many neighbouring pieces as fit; each chunk begins with the last pieces of the previous one."""
    window: deque[str] = deque()
    length = 0
    for piece in pieces:
        if length + len(piece) > size:
            if chunk := "".join(window).strip():
                yield chunk
            while length > overlap or length + len(piece) > size:
                length -= len(window.popleft())
        window.append(piece)
        length += len(piece)
    if chunk := "".join(window).strip():
        yield chunk
