"""A text to chunks, as LangChain's ``RecursiveCharacterTextSplitter`` makes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

PARAGRAPHS_LINES_WORDS = ("\n\n", "\n", " ")


def chunks(
    text: str, size: int, overlap: int, separators: Sequence[str] = PARAGRAPHS_LINES_WORDS
) -> Iterator[str]:
    """Cut a text at its paragraphs, and only what is too long for a chunk at its lines, words or characters.

    Neighbouring pieces are joined as long as they fit. Each chunk is a part of the text, without white space
    around it, and chunks are in the text's order. The time is proportional to the length of text and chunks.

    The rules are those of https://docs.langchain.com/oss/python/integrations/splitters/recursive_text_splitter.

    Args:
        text: The text.
        size: The longest chunk, in characters; at least 1.
        overlap: How many characters, at most, a chunk repeats of the one before it; below ``size``.
        separators: Where to cut, the best places first; after the last of them, between characters.

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
    """Cut before each separator."""
    first, *others = text.split(separator)
    if first:
        yield first
    for other in others:
        yield separator + other


def _joined(pieces: Iterable[str], size: int, overlap: int) -> Iterator[str]:
    """Chunks of as many neighbouring pieces as fit; each begins with the last pieces of the one before."""
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
