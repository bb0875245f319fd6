"""Collections that are added in parts, and which of their parts are in an index."""

from __future__ import annotations

import hashlib
import json
import shlex
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.index.store import transaction
from crossrank.index.writing import (
    FileState,
    Split,
    Vector,
    as_blobs,
    content_digest,
    put_file,
    put_passages,
    put_state,
)
from crossrank.inference.bi_encoder import BiEncoder


@dataclass(frozen=True, slots=True)
class Part:
    """Some documents of a file that follow one another, with their passages.

    Attributes:
        splits: The documents and their passages.
    """

    splits: tuple[Split, ...]

    @property
    def passages(self) -> int:
        """Number of passages."""
        return sum(len(passages) for _, passages in self.splits)

    @property
    def contents(self) -> list[str]:
        """The texts to embed: title and text of each passage, every one once, sorted."""
        return sorted({passage.content for _, passages in self.splits for passage in passages})

    def packed(self) -> bytes:
        """The part as JSON; equal parts are packed alike."""
        return json.dumps(
            [
                [
                    document.id,
                    document.title,
                    document.metadata,
                    [[one.text, one.metadata["start"], one.metadata["end"]] for one in passages],
                ]
                for document, passages in self.splits
            ]
        ).encode()

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        """The part of :meth:`packed`; the documents are without their texts, which no one needs any more."""
        return cls(tuple(_split(*row) for row in json.loads(packed)))


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A part of a file, as an index remembers it.

    Attributes:
        number: Which of the file's parts, from 0.
        size: The number of passages that was asked for.
        arithmetic: The arithmetic that it was embedded in.
        digest: Of its content (:func:`digest`).
    """

    number: int
    size: int
    arithmetic: str
    digest: bytes


class PartWriter:
    """Writes parts to an index, each with its record in one transaction; made by :meth:`Index.adding_parts`.

    So a part is either completely in the index or not at all, also after a kill.

    Args:
        database: A connection for writing; the caller holds the writer's lock.
        folder: The folder of the index.
        embedder: The index's embedder.
        sizes: The index's chunk size and overlap.
    """

    def __init__(
        self, database: sqlite3.Connection, folder: Path, embedder: BiEncoder, sizes: tuple[int, int]
    ) -> None:
        self._database = database
        self.folder, self.embedder = folder, embedder
        self.chunk_size, self.chunk_overlap = sizes

    def known(self, file: str) -> list[PartRecord]:
        """The parts of a file that are in the index, by number.

        Args:
            file: Its absolute path or its address.

        Raises:
            InputError: The file was added with :meth:`Index.add`.
        """
        rows = self._database.execute(
            "SELECT number, part.size, arithmetic, part.digest FROM part JOIN file ON file.id = file "
            "WHERE path = ? ORDER BY number",
            (file,),
        )
        found = [PartRecord(*row) for row in rows]
        if not found and self._database.execute("SELECT 1 FROM file WHERE path = ?", (file,)).fetchone():
            raise InputError(
                f"{file} is in the index as a file that crossrank index add updates; take it out first: "
                f"crossrank index rm {shlex.quote(str(self.folder))} {shlex.quote(file)}"
            )
        return found

    def write(self, file: str, record: PartRecord, part: Part, vectors: NDArray[np.float32]) -> None:
        """Write a part and its record.

        Args:
            file: The absolute path or the address of the file that it belongs to.
            record: What the index remembers of the part.
            part: The part.
            vectors: The vectors of its ``contents``, shape [n, d].

        Raises:
            OSError: The disk is full, or fails; the index is as it was.
        """
        blobs = zip(part.contents, as_blobs(vectors), strict=True)
        by_content = {content: Vector(content_digest(content), blob) for content, blob in blobs}
        with transaction(self._database):
            number = put_file(self._database, file, [file])
            put_passages(self._database, number, part.splits, by_content)
            self._database.execute(
                "INSERT INTO part VALUES (?, ?, ?, ?, ?)",
                (number, record.number, record.size, record.arithmetic, record.digest),
            )
            self._database.execute("DELETE FROM removed WHERE path = ?", (file,))

    def finish(self, file: str, size: int) -> None:
        """Keep the size of a file in bytes, once all its parts are written."""
        with transaction(self._database):
            state = FileState(size, modified_ns=-1, read_ns=0, digest=b"")
            put_state(self._database, put_file(self._database, file, [file]), state, None)


def read_collections(database: sqlite3.Connection) -> list[str]:
    """The files that were added in parts, sorted; none in an index of an older release."""
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'part'").fetchone():
        return []
    rows = database.execute("SELECT DISTINCT path FROM part JOIN file ON file.id = file ORDER BY path")
    return [path for (path,) in rows]


def digest(content: bytes) -> bytes:
    """Identifies a packed part, or an id."""
    return hashlib.blake2b(content, digest_size=16).digest()


def _split(name: str, title: str, metadata: dict[str, Any], passages: Iterable[Sequence[Any]]) -> Split:
    split = [
        Document(f"{name}#{number}", text, title, {"start": start, "end": end})
        for number, (text, start, end) in enumerate(passages, start=1)
    ]
    return Document(name, "", title, metadata), split
