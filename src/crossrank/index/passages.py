"""Passages by their ids, and the text around them in their files."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrank.documents import Document
from crossrank.errors import MissingPassageError
from crossrank.text.notices import ignore
from crossrank.text.reading.decoding import text_chunks

# Offsets of passages are offsets in the file only for these, so only these have line numbers.
_WITH_LINES = frozenset({"", ".txt", ".text", ".rst", ".log", ".md", ".markdown"})
# This many bytes of files are read again for the line numbers of one search at most.
_MOST_READ = 20_000_000
# Longer ids are longer than any path.
_LONGEST_ID = 10_000

ROW = "passage.id, path, name, title, metadata, number, text, start, end"
"""The columns of a passage, as :func:`document_of` takes them."""


@dataclass(frozen=True, slots=True)
class PassageInFile:
    """A passage and the text around it in its file, as it was when the file was indexed.

    The text is put together from the stored passages, so the file itself is not read. White space between
    passages is not stored; it is shown as one line break or a blank line.

    Attributes:
        passage: The passage.
        before: The text before it.
        after: The text after it.
        complete: Whether ``before`` and ``after`` reach to the beginning and the end of the file.
    """

    passage: Document
    before: str
    after: str
    complete: bool


def document_of(row: Sequence[Any]) -> Document:
    """The passage of a row (see ``ROW``)."""
    _, path, name, title, metadata, number, text, start, end = row
    # Ids of records include the file, since two files may have records with the same id.
    owner = name if name.startswith(path) else f"{path}:{name}"
    return Document(
        f"{owner}#{number}", text, title, {**json.loads(metadata), "file": path, "start": start, "end": end}
    )


def find_passage(database: sqlite3.Connection, passage_id: str) -> Document:
    """The passage of an id.

    Raises:
        MissingPassageError: There is none.
    """
    return document_of(_row(database, passage_id))


def sample_passages(database: sqlite3.Connection, count: int, seed: int) -> list[Document]:
    """Passages drawn by chance: see :meth:`crossrank.Index.sample`."""
    places = database.execute(
        "SELECT passage.id, file FROM passage JOIN document ON document.id = document ORDER BY passage.id"
    ).fetchall()
    random.Random(seed).shuffle(places)
    earlier: Counter[int] = Counter()
    turns = []
    for passage, file in places:
        turns.append((earlier[file], passage))
        earlier[file] += 1
    # The first of each file, then the second; sorting is stable.
    chosen = [passage for _, passage in sorted(turns, key=lambda turn: turn[0])[:count]]
    rows = (
        database.execute(
            f"SELECT {ROW} FROM passage JOIN document ON document.id = document "
            "JOIN file ON file.id = document.file WHERE passage.id = ?",
            (passage,),
        ).fetchone()
        for passage in chosen
    )
    return [document_of(row) for row in rows]


def passage_in_file(database: sqlite3.Connection, passage_id: str, characters: int) -> PassageInFile:
    """A passage with at most this number of characters before and after it.

    Raises:
        MissingPassageError: There is no passage of this id.
    """
    row = _row(database, passage_id)
    number, *_, start, end = row
    file, document = database.execute(
        "SELECT file, document.id FROM passage JOIN document ON document.id = document WHERE passage.id = ?",
        (number,),
    ).fetchone()
    earlier, later = (_neighbours(database, side, file, document, number) for side in "<>")
    pieces, begins = _take(_before(earlier, document, start), characters)
    before = "".join(reversed(pieces))
    pieces, ends = _take(_after(later, document, end), characters)
    return PassageInFile(
        document_of(row),
        before[max(0, len(before) - characters) :],
        "".join(pieces)[:characters],
        begins and ends,
    )


def line_numbers(database: sqlite3.Connection, passages: Iterable[Document]) -> list[int | None]:
    """The line in its file that each passage begins at, from 1.

    Lines are counted in the file; None unless it is plain text or Markdown that has not changed since it was
    indexed, or once many files were read: a search should not wait for them.
    """
    texts: dict[str, str | None] = {}
    left = _MOST_READ
    lines: list[int | None] = []
    for passage in passages:
        path, start, end = (passage.metadata[name] for name in ("file", "start", "end"))
        if path not in texts:
            texts[path], read = _text_of(database, path, left)
            left -= read
        text = texts[path]
        is_there = text is not None and text[start:end] == passage.text
        lines.append(text.count("\n", 0, start) + 1 if text is not None and is_there else None)
    return lines


def _row(database: sqlite3.Connection, passage_id: str) -> Sequence[Any]:
    owner, _, number = passage_id.rpartition("#")
    # isdecimal alone accepts digits of other scripts, and SQLite's integers have 64 bits.
    if owner and number.isascii() and number.isdecimal() and len(number) < 19 and len(owner) <= _LONGEST_ID:
        owner = owner.encode("utf-8", errors="replace").decode()
        for file, path in _files(database, owner):
            rows = database.execute(
                f"SELECT {ROW} FROM document CROSS JOIN file ON file.id = document.file "
                "CROSS JOIN passage ON passage.document = document.id "
                "WHERE document.file = ? AND name IN (?, ?) AND number = ?",
                (file, owner, owner[len(path) + 1 :], int(number)),
            )
            for found in rows:
                if document_of(found).id == f"{owner}#{number}":
                    return tuple(found)
    raise MissingPassageError(
        f"there is no passage {passage_id!r:.200} in the index; take the id from a search result "
        "(the file may have changed since)"
    )


def _files(database: sqlite3.Connection, owner: str) -> Iterator[tuple[int, str]]:
    """The files whose path a document's id begins with: id and path, the longest path first."""
    bound = owner
    while bound:
        row = database.execute(
            "SELECT id, path FROM file WHERE path <= ? ORDER BY path DESC LIMIT 1", (bound,)
        ).fetchone()
        if row is None:
            return
        # A shorter path that the id begins with is also a beginning of what both have in common.
        pairs = enumerate(zip(bound, row[1], strict=False))
        bound = bound[: next((place for place, (a, b) in pairs if a != b), min(len(bound), len(row[1])))]
        if bound == row[1]:
            yield row
            bound = bound[:-1]


def _neighbours(
    database: sqlite3.Connection, side: str, file: int, document: int, passage: int
) -> Iterator[tuple[int, int, int, str]]:
    """The passages of a file on one side of a passage, nearest first: document, start, end, text."""
    order = "DESC" if side == "<" else "ASC"
    return database.execute(
        "SELECT document.id, start, end, text FROM document "
        "CROSS JOIN passage ON passage.document = document.id "
        f"WHERE document.file = ? AND document.id {side}= ? AND passage.id {side} ? "
        f"ORDER BY document.id {order}, passage.id {order}",
        (file, document, passage),
    )


def _before(rows: Iterator[tuple[int, int, int, str]], document: int, start: int) -> Iterator[str]:
    """The text before an offset, in pieces, the nearest first."""
    for owner, begin, end, text in rows:
        same = owner == document
        yield _gap(start - end) if same else "\n\n"
        yield text[: max(0, start - begin)] if same else text
        document, start = owner, begin


def _after(rows: Iterator[tuple[int, int, int, str]], document: int, end: int) -> Iterator[str]:
    """The text after an offset, in pieces, the nearest first."""
    for owner, begin, stop, text in rows:
        same = owner == document
        yield _gap(begin - end) if same else "\n\n"
        yield text[max(0, end - begin) :] if same else text
        document, end = owner, stop


def _take(pieces: Iterator[str], characters: int) -> tuple[list[str], bool]:
    """Pieces of at least this many characters together, and whether there is nothing more."""
    taken: list[str] = []
    length = 0
    for piece in pieces:
        taken.append(piece)
        length += len(piece)
        if length > characters:
            return taken, False
    return taken, True


def _gap(characters: int) -> str:
    """The white space between two passages, which is not stored."""
    return "" if characters <= 0 else "\n" if characters == 1 else "\n\n"


def _text_of(database: sqlite3.Connection, path: str, most: int) -> tuple[str | None, int]:
    """The text of a file that is as it was when it was indexed, and its size; None if it has no lines."""
    file = Path(path)
    if file.suffix.lower() not in _WITH_LINES:
        return None, 0
    row = database.execute("SELECT size, modified_ns FROM file WHERE path = ?", (path,)).fetchone()
    try:
        state = file.stat()
        if row != (state.st_size, state.st_mtime_ns) or state.st_size > most:
            return None, 0
        return "".join(text_chunks(file, path, ignore)), state.st_size
    except (OSError, ValueError):
        return None, 0
