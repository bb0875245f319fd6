"""Files and their passages into the SQLite file, and out of it again."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import Document
from crossrank.index.store import count_generation
from crossrank.retrieval.words import indexed_text

# A file whose old passages are more than so many does not offer their vectors again: they take memory.
_REUSED_AT_MOST = 50_000


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells whether a file is still the one that was read.

    Attributes:
        path: Absolute.
        size: Bytes.
        modified_ns: When it was modified, in nanoseconds.
        read_ns: When it was read.
        digest: Of its content.
    """

    path: str
    size: int
    modified_ns: int
    read_ns: int
    digest: bytes


Split: TypeAlias = tuple[Document, Sequence[Document]]
"""A document and its passages."""


def put_file(database: sqlite3.Connection, state: FileState, source: str, problem: str | None = None) -> int:
    """Write a file without passages in place of what the index knew of it; returns its id."""
    row = database.execute("SELECT id FROM file WHERE path = ?", (state.path,)).fetchone()
    values = (state.size, state.modified_ns, state.read_ns, state.digest, problem)
    if row is None:
        file = database.execute(
            "INSERT INTO file (path, size, modified_ns, read_ns, digest, problem) VALUES (?, ?, ?, ?, ?, ?)",
            (state.path, *values),
        ).lastrowid
        assert file is not None
    else:
        (file,) = row
        _delete_passages(database, file)
        database.execute(
            "UPDATE file SET size = ?, modified_ns = ?, read_ns = ?, digest = ?, problem = ? WHERE id = ?",
            (*values, file),
        )
    database.execute("INSERT OR IGNORE INTO found VALUES (?, ?)", (source, file))
    count_generation(database)
    return int(file)


def put_passages(
    database: sqlite3.Connection, file: int, parts: Iterable[Split], vectors: Mapping[str, bytes]
) -> int:
    """Write a file's documents with their passages; returns how many passages.

    Args:
        file: Its id.
        parts: Documents and passages.
        vectors: Each passage's vector, float32, by its content.
    """
    count = 0
    for document, passages in parts:
        owner = database.execute(
            "INSERT INTO document (file, name, title, metadata) VALUES (?, ?, ?, ?)",
            (file, _valid(document.id), _valid(document.title), _metadata(database, document)),
        ).lastrowid
        for number, passage in enumerate(passages, start=1):
            row = database.execute(
                "INSERT INTO passage (document, number, text, start, end) VALUES (?, ?, ?, ?, ?)",
                (owner, number, _valid(passage.text), passage.metadata["start"], passage.metadata["end"]),
            ).lastrowid
            database.execute("INSERT INTO vector VALUES (?, ?)", (row, vectors[passage.content]))
            database.execute(
                "INSERT INTO words (rowid, text) VALUES (?, ?)", (row, indexed_text(passage.content))
            )
            count += 1
    return count


def known_vectors(database: sqlite3.Connection, path: str) -> dict[str, bytes]:
    """The vectors of a file's passages by their content: what stays the same need not be embedded again."""
    rows = database.execute(
        "SELECT title, text, value FROM file JOIN document ON document.file = file.id "
        "JOIN passage ON passage.document = document.id JOIN vector ON vector.passage = passage.id "
        "WHERE path = ? LIMIT ?",
        (path, _REUSED_AT_MOST),
    )
    return {Document("", text, title).content: value for title, text, value in rows}


def as_blobs(vectors: NDArray[np.float32]) -> list[bytes]:
    """Each row as SQLite keeps it."""
    return [row.astype("<f4").tobytes() for row in vectors]


def find_now(database: sqlite3.Connection, source: str, files: set[int]) -> None:
    """Say which of the index's files a source means."""
    before = {row[0] for row in database.execute("SELECT file FROM found WHERE source = ?", (source,))}
    database.executemany(
        "DELETE FROM found WHERE source = ? AND file = ?", ((source, file) for file in before - files)
    )
    database.executemany("INSERT INTO found VALUES (?, ?)", ((source, file) for file in files - before))


def delete_unfound(database: sqlite3.Connection) -> list[str]:
    """Delete the files that no source means any more; returns their paths."""
    rows = database.execute(
        "SELECT id, path FROM file WHERE NOT EXISTS (SELECT 1 FROM found WHERE file = file.id) ORDER BY path"
    ).fetchall()
    if rows:
        count_generation(database)
    for file, _ in rows:
        _delete_passages(database, file)
        database.execute("DELETE FROM file WHERE id = ?", (file,))
    return [path for _, path in rows]


def _delete_passages(database: sqlite3.Connection, file: int) -> None:
    for passage, text in _contents(database, "WHERE document.file = ?", file):
        # FTS5 keeps no texts here, so it must be told which words the passage had.
        database.execute(
            "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (passage, indexed_text(text))
        )
        database.execute("DELETE FROM vector WHERE passage = ?", (passage,))
    database.execute(
        "DELETE FROM passage WHERE document IN (SELECT id FROM document WHERE file = ?)", (file,)
    )
    database.execute("DELETE FROM document WHERE file = ?", (file,))


def all_contents(database: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """Every passage's id and content, in the order of the ids."""
    return _contents(database, "ORDER BY passage.id")


def _contents(database: sqlite3.Connection, which: str, *parameters: object) -> Iterator[tuple[int, str]]:
    rows = database.execute(
        "SELECT passage.id, title, text FROM passage "
        f"JOIN document ON document.id = passage.document {which}",
        parameters,
    )
    for passage, title, text in rows:
        yield passage, Document("", text, title).content


def _metadata(database: sqlite3.Connection, document: Document) -> str:
    """A document's metadata as JSON that SQLite can search; the spans are the passages' own."""
    values = {name: value for name, value in document.metadata.items() if name not in ("start", "end")}
    try:
        text = json.dumps(_plain(values), ensure_ascii=False)
        if database.execute("SELECT json_valid(?)", (text,)).fetchone()[0]:
            return text
    except RecursionError:
        pass
    # Nested deeper than Python or SQLite follow: of no use as a filter.
    return json.dumps({"source": _plain(values.get("source"))}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """What JSON, SQLite and terminals can all hold."""
    if isinstance(value, str):
        return _valid(value)
    if isinstance(value, Mapping):
        return {_valid(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (bool, int)) or value is None else str(value)


def _valid(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode("utf-8")
