"""Documents that are longer than the model reads: cut off, or read in windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import Document, Window
from crossrank.errors import InputError
from crossrank.inference.scorer import PairScorer
from crossrank.text.sentences import sentences

LongDocuments: TypeAlias = Literal["truncate", "windows", "first"]
"""How to read documents that are longer than the model reads. ``truncate``: as many tokens as it reads, and
not the rest. ``windows``: all of it, in windows that end at sentences. ``first``: the first window."""

# The share of a window that the next one may repeat.
_OVERLAP = 0.2
# A part of a text may have a few tokens more than it has within the text.
_SPARE = 4


def check_long_documents(long_documents: str, best_windows: int) -> None:
    """Refuse what is no way to read long documents.

    Raises:
        InputError: It is none, or the number of windows is below 1.
    """
    if long_documents not in get_args(LongDocuments):
        known = ", ".join(get_args(LongDocuments))
        raise InputError(f"long_documents must be one of {known}; it is {long_documents!r:.40}")
    if best_windows < 1:
        raise InputError(f"best_windows must be at least 1; it is {best_windows}")


@dataclass(frozen=True, slots=True)
class Part:
    """What the model reads at once of a document.

    Attributes:
        text: The text, with the document's title before it.
        window: Where it is in the document; None if it is all of it.
        unread: How many tokens of the document are in no part.
    """

    text: str
    window: Window | None = None
    unread: int = 0


def parts_of(
    model: PairScorer, asked: Sequence[tuple[str, Document]], long_documents: LongDocuments
) -> list[list[Part]]:
    """What to read of each document.

    Args:
        model: The model.
        asked: Queries with a document each.
        long_documents: How to read those that are longer than the model reads.

    Returns:
        At least one part for each document.

    Raises:
        InputError: The model is remote, so that its tokens are not known.
    """
    parts = [[Part(document.content)] for _, document in asked]
    if long_documents == "truncate":
        return parts
    rooms = {query: model.passage_room(query) for query in {query for query, _ in asked}}
    # A token has at least one byte.
    long = [
        place
        for place, (query, document) in enumerate(asked)
        if len(document.content.encode(errors="replace")) > rooms[query]
    ]
    texts = list(dict.fromkeys(text for place in long for text in _title_and_text(asked[place][1])))
    offsets = dict(zip(texts, model.token_offsets(texts), strict=True))
    for place in long:
        query, document = asked[place]
        title, text = _title_and_text(document)
        room = rooms[query]
        if len(offsets[title]) + len(offsets[text]) > room:
            in_title, in_text = offsets[title], offsets[text]
            parts[place] = _windowed(document, in_title, in_text, room, long_documents) or parts[place]
    return parts


def _windowed(
    document: Document,
    in_title: NDArray[np.intp],
    in_text: NDArray[np.intp],
    room: int,
    long_documents: LongDocuments,
) -> list[Part]:
    """The windows of a document, each with the title before it; none if the text is blank."""
    title, text = _title_and_text(document)
    title_tokens = min(len(in_title), room // 2)
    if title_tokens < len(in_title):
        title = f"{title[: in_title[title_tokens - 1, 1]]}\n" if title_tokens else ""
    found = windows(text, in_text, max(1, room - title_tokens - min(_SPARE, room // 8)))
    parts = [
        Part(title + text[start:end], Window(start, end, number, len(found)))
        for number, (start, end) in enumerate(found, start=1)
    ]
    if long_documents == "windows" or not parts:
        return parts
    return [replace(parts[0], unread=int((in_text[:, 0] >= found[0][1]).sum()))]


def _title_and_text(document: Document) -> tuple[str, str]:
    return (f"{document.title}\n" if document.title else ""), document.text


def windows(text: str, offsets: NDArray[np.intp], room: int) -> list[tuple[int, int]]:
    """Split a text into windows of whole sentences, each of which repeats the end of the one before it.

    A sentence that is longer than a window is split between words.

    Args:
        text: The text.
        offsets: Where each of its tokens begins and ends, in characters, [tokens, 2].
        room: The most tokens of a window.

    Returns:
        The character offsets of the windows, in order.

    Example:
        >>> text = "One two. Three four. Five six."
        >>> tokens = np.array([[0, 3], [4, 8], [9, 14], [15, 20], [21, 25], [26, 30]])
        >>> [text[start:end] for start, end in windows(text, tokens, room=4)]
        ['One two. Three four.', 'Five six.']
    """
    pieces = [piece for start, end in sentences(text) for piece in _pieces(text, offsets, start, end, room)]
    found: list[tuple[int, int]] = []
    first = 0
    while first < len(pieces):
        last, size = first, 0
        while last < len(pieces) and size + pieces[last][2] <= room:
            size += pieces[last][2]
            last += 1
        found.append((pieces[first][0], pieces[last - 1][1]))
        if last == len(pieces):
            break
        # Back from there, as long as the next sentence still fits.
        least, repeated = first + 1, 0
        most = min(int(room * _OVERLAP), room - pieces[last][2])
        first = last
        while first > least and repeated + pieces[first - 1][2] <= most:
            first -= 1
            repeated += pieces[first][2]
    return found


def _pieces(
    text: str, offsets: NDArray[np.intp], start: int, end: int, room: int
) -> Iterator[tuple[int, int, int]]:
    """A sentence, or its parts where it is too long: begin, end and number of tokens."""
    first, stop = (int(place) for place in np.searchsorted(offsets[:, 0], [start, end]))
    while stop - first > room:
        cut = first + room
        # Between words where there are any, in the second half.
        while cut > first + room // 2 and not text[offsets[cut, 0] - 1].isspace():
            cut -= 1
        cut = cut if cut > first + room // 2 else first + room
        yield start, int(offsets[cut - 1, 1]), cut - first
        start, first = int(offsets[cut, 0]), cut
    yield start, end, stop - first
