"""A collection cut into parts, in one file from which any of them can be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from crossrank.bulk.collection import file_documents
from crossrank.bulk.passages import Progress
from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.evaluation.lines import OnBadLine
from crossrank.index.parts import Part, digest
from crossrank.index.writing import Split
from crossrank.text import split_documents

_SHOWN_EVERY = 1000


@dataclass(frozen=True, slots=True)
class PartHead:
    """What is known of a part without its texts.

    Attributes:
        number: Which of the collection's parts, from 0.
        file: The file that it belongs to: an absolute path or an address.
        of_file: Which of the file's parts, from 0.
        documents: Number of documents.
        passages: Number of passages.
        digest: Of the packed part.
    """

    number: int
    file: str
    of_file: int
    documents: int
    passages: int
    digest: bytes


class PartFile:
    """The parts of a collection, in a SQLite file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(
        self,
        files: Iterable[str],
        *,
        part_size: int,
        chunk_size: int,
        chunk_overlap: int,
        on_bad_line: OnBadLine,
        progress: Progress = lambda *_: None,
    ) -> None:
        """Read a collection once from beginning to end, and cut it; an existing file is replaced.

        Args:
            files: The files of the collection. No part has documents of two files.
            part_size: Number of passages in a part; the last document's may be more.
            chunk_size: Maximum length of a passage in characters.
            chunk_overlap: Characters that passages overlap.
            on_bad_line: Called with the error for a line that cannot be used, or whose id was there before.
            progress: Called with the number of documents read, and 0, since the total is not known.

        Raises:
            InputError: A file cannot be read.
            MissingExtraError: Parquet needs crossrank[ray].
        """
        self.remove()
        read = 0
        with closing(sqlite3.connect(self.path)) as database:
            # It is made again after a crash, so it needs no journal.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.execute("CREATE TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID")
            database.execute(
                "CREATE TABLE part (number INTEGER PRIMARY KEY, file TEXT, of_file INTEGER, "
                "documents INTEGER, passages INTEGER, digest BLOB, body BLOB)"
            )

            def counted(documents: Iterator[Document]) -> Iterator[Document]:
                nonlocal read
                for document in documents:
                    yield document
                    read += 1
                    if read % _SHOWN_EVERY == 0:
                        progress("Reading documents", read, 0)

            for file in files:
                database.execute("DELETE FROM seen")
                documents = counted(_once(database, file_documents(file, on_bad_line), on_bad_line))
                for of_file, part in enumerate(_cut(documents, part_size, chunk_size, chunk_overlap)):
                    body = part.packed()
                    database.execute(
                        "INSERT INTO part (file, of_file, documents, passages, digest, body) "
                        "VALUES (?, ?, ?, ?, ?, ?)",
                        (file, of_file, len(part.splits), part.passages, digest(body), body),
                    )
            database.execute("DROP TABLE seen")
            database.commit()

    def remove(self) -> None:
        """Delete the file, if it is there."""
        self.path.unlink(missing_ok=True)

    def heads(self) -> list[PartHead]:
        """All parts, by number."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT number - 1, file, of_file, documents, passages, digest FROM part ORDER BY number"
            )
            return [PartHead(*row) for row in rows]

    def body(self, number: int) -> bytes:
        """The packed part of this number."""
        with self._reading() as database:
            (body,) = database.execute("SELECT body FROM part WHERE number = ?", (number + 1,)).fetchone()
            return bytes(body)

    def _reading(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True))


def _once(
    database: sqlite3.Connection, documents: Iterable[tuple[str, Document]], on_bad_line: OnBadLine
) -> Iterator[Document]:
    """The documents whose id is new. Digests of ids are kept on disk: a collection may have any size."""
    for place, document in documents:
        key = digest(document.id.encode(errors="surrogatepass"))
        if database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount:
            yield document
        else:
            on_bad_line(InputError(f"{place}: the id {document.id!r} is there a second time"))


def _cut(
    documents: Iterator[Document], part_size: int, chunk_size: int, chunk_overlap: int
) -> Iterator[Part]:
    splits: list[Split] = []
    passages = 0
    for document in documents:
        split = split_documents([document], chunk_size=chunk_size, chunk_overlap=chunk_overlap)
        splits.append((document, split))
        passages += len(split)
        if passages >= part_size:
            yield Part(tuple(splits))
            splits, passages = [], 0
    if splits:
        yield Part(tuple(splits))
