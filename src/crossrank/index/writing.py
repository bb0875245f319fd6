"""Write files and their passages to the SQLite file, and delete them."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import Document
from crossrank.index.damage import checksum
from crossrank.index.store import count_generation
from crossrank.retrieval.words import indexed_text


@dataclass(frozen=True, slots=True)
class FileState:
    """The state of a file when it was read, to detect changes.

    Attributes:
        size: Size in bytes.
        modified_ns: Modification time in nanoseconds.
        read_ns: Time of reading in nanoseconds.
        digest: Digest of its content.
    """

    size: int
    modified_ns: int
    read_ns: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Vector:
    """A passage's vector as stored in SQLite, and the digest of the passage's content."""

    digest: bytes
    value: bytes


Split: TypeAlias = tuple[Document, Sequence[Document]]
"""A document and its passages."""


def put_file(database: sqlite3.Connection, path: str, sources: Iterable[str]) -> int:
    """Return the id of a file, inserted if it is new, and record that these sources include it."""
    row = database.execute("SELECT id FROM file WHERE path = ?", (path,)).fetchone()
    if row is None:
        file = database.execute(
            "INSERT INTO file (path, size, modified_ns, read_ns, digest) VALUES (?, 0, -1, 0, x'')", (path,)
        ).lastrowid
        assert file is not None
    else:
        (file,) = row
    database.executemany("INSERT OR IGNORE INTO found VALUES (?, ?)", ((source, file) for source in sources))
    return int(file)


def put_state(database: sqlite3.Connection, file: int, state: FileState, problem: str | None) -> None:
    """Write the state of a file when it was read, and why it cannot be searched, if so."""
    database.execute(
        "UPDATE file SET size = ?, modified_ns = ?, read_ns = ?, digest = ?, problem = ? WHERE id = ?",
        (state.size, state.modified_ns, state.read_ns, state.digest, _valid(problem or "") or None, file),
    )


def put_passages(
    database: sqlite3.Connection, file: int, parts: Iterable[Split], vectors: Mapping[str, Vector]
) -> int:
    """Write the documents of a file with their passages; returns the number of passages.

    Args:
        file: The file's id.
        parts: Documents and their passages.
        vectors: The vector of each passage, by content.
    """
    count_generation(database)
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
            vector = vectors[passage.content]
            put_vector(database, row, vector)
            database.execute(
                "INSERT INTO words (rowid, text) VALUES (?, ?)", (row, indexed_text(passage.content))
            )
            count += 1
    return count


def put_vector(database: sqlite3.Connection, passage: int | None, vector: Vector) -> None:
    """Write a passage's vector, with a checksum to detect damage."""
    row = (passage, vector.digest, vector.value, checksum(vector.value))
    database.execute("INSERT INTO vector VALUES (?, ?, ?, ?)", row)


def content_digest(content: str) -> bytes:
    """The digest by which the vector of the same text is found and reused."""
    return hashlib.blake2b(content.encode("utf-8", errors="replace"), digest_size=16).digest()


def known_vectors(database: sqlite3.Connection, digests: Iterable[bytes]) -> dict[bytes, bytes]:
    """The undamaged vectors in the index for these contents, by digest."""
    found = {}
    for digest in digests:
        rows = database.execute("SELECT value, checksum FROM vector WHERE digest = ?", (digest,))
        good = next((value for value, kept in rows if checksum(value) == kept), None)
        if good is not None:
            found[digest] = good
    return found


def as_blobs(vectors: NDArray[np.float32]) -> list[bytes]:
    """Each row as stored in SQLite."""
    return [row.astype("<f4").tobytes() for row in vectors]


def found_files(database: sqlite3.Connection, source: str) -> set[int]:
    """The ids of the indexed files that a source includes."""
    return {row[0] for row in database.execute("SELECT file FROM found WHERE source = ?", (source,))}


def find_now(database: sqlite3.Connection, source: str, files: set[int]) -> None:
    """Update which of the indexed files a source includes."""
    before = found_files(database, source)
    database.executemany(
        "DELETE FROM found WHERE source = ? AND file = ?", ((source, file) for file in before - files)
    )
    database.executemany("INSERT INTO found VALUES (?, ?)", ((source, file) for file in files - before))


def unfound_files(database: sqlite3.Connection) -> list[tuple[int, str]]:
    """Id and path of the files that no source includes any more, by path."""
    return database.execute(
        "SELECT id, path FROM file WHERE NOT EXISTS (SELECT 1 FROM found WHERE file = file.id) ORDER BY path"
    ).fetchall()


def delete_files(database: sqlite3.Connection, files: Sequence[tuple[int, str]]) -> list[str]:
    """Delete files with their documents and passages; returns their paths."""
    for file, _ in files:
        delete_documents(database, documents_of(database, file))
        database.execute("DELETE FROM part WHERE file = ?", (file,))
        database.execute("DELETE FROM file WHERE id = ?", (file,))
    return [path for _, path in files]


def has_parts(database: sqlite3.Connection, file: int) -> bool:
    """Whether a file was added in parts, as a collection."""
    return database.execute("SELECT 1 FROM part WHERE file = ?", (file,)).fetchone() is not None


def documents_of(database: sqlite3.Connection, file: int) -> list[int]:
    """The ids of a file's documents."""
    return [row[0] for row in database.execute("SELECT id FROM document WHERE file = ?", (file,))]


def delete_documents(database: sqlite3.Connection, documents: Sequence[int]) -> None:
    """Delete documents with their passages."""
    if documents:
        count_generation(database)
    for document in documents:
        for passage, text in _contents(database, "WHERE document.id = ?", document):
            # FTS5 stores no texts here, so deleting a row needs the passage's text.
            database.execute(
                "INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)",
                (passage, indexed_text(text)),
            )
            database.execute("DELETE FROM vector WHERE passage = ?", (passage,))
        database.execute("DELETE FROM passage WHERE document = ?", (document,))
        database.execute("DELETE FROM document WHERE id = ?", (document,))


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
    """A document's metadata as JSON that SQLite can search, without the spans, which belong to passages."""
    values = {name: value for name, value in document.metadata.items() if name not in ("start", "end")}
    try:
        text = json.dumps(_plain(values), ensure_ascii=False)
        if database.execute("SELECT json_valid(?)", (text,)).fetchone()[0]:
            return text
    except RecursionError:
        pass
    # Nested too deep for Python or SQLite, and useless as a filter.
    return json.dumps({"source": _plain(values.get("source"))}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """A value that JSON, SQLite and terminals can represent."""
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
