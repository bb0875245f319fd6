"""The texts that a run names, copied out of a collection of any size into one file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from crossrank.bulk.collection import KEYS, addresses, parquet_rows
from crossrank.documents import Document
from crossrank.errors import InputError, MissingPassageError
from crossrank.evaluation.collection import corpus_lines
from crossrank.evaluation.lines import OnBadLine
from crossrank.files import replacing
from crossrank.index.index import Index

_AT_ONCE = 1000
# SQLite takes at most 32,766 values a statement, older releases 999.
_ASKED_AT_ONCE = 500

Progress: TypeAlias = Callable[[str, int, int], object]
"""Called with what is being done, the amount done, and the total."""


class PassageFile:
    """Texts by id, in a SQLite file that only :meth:`write` makes.

    Args:
        path: The file.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     corpus = Path(folder, "corpus.jsonl")
        ...     _ = corpus.write_text('{"_id": "d1", "text": "Bees dance."}')
        ...     passages = PassageFile.write(Path(folder, "texts"), str(corpus), {"d1"}, on_bad_line=print)
        ...     passages.documents(["d1", "d2"])
        {'d1': Document(id='d1', text='Bees dance.', title='', metadata={})}
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def write(
        cls,
        path: Path,
        collection: str,
        wanted: Collection[str],
        *,
        on_bad_line: OnBadLine,
        progress: Progress = lambda *_: None,
    ) -> PassageFile:
        """Copy the wanted texts, reading the collection once from beginning to end. An existing file stays.

        Args:
            path: The file; it appears complete or not at all.
            collection: JSON Lines or Parquet (files, or addresses that fsspec reads), a folder in BEIR
                layout, or the folder of an index.
            wanted: Ids of the documents.
            on_bad_line: Called with the error for a line that cannot be used.
            progress: Called with the number of texts found, and the number of those wanted.

        Raises:
            InputError: The collection cannot be read.
            MissingExtraError: Parquet needs crossrank[ray].
        """
        if path.is_file():
            return cls(path)
        with replacing(path) as unfinished, closing(sqlite3.connect(unfinished)) as database:
            # It is made again after a crash, so it needs no journal.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("CREATE TABLE passage (id TEXT PRIMARY KEY, title TEXT, text TEXT)")
            documents = _documents(collection, wanted, on_bad_line)
            found = 0
            while some := list(islice(documents, _AT_ONCE)):
                rows = [(one.id, one.title, one.text) for one in some if one.id in wanted]
                database.executemany("INSERT OR IGNORE INTO passage VALUES (?, ?, ?)", rows)
                found += len(rows)
                progress("Finding texts", found, len(wanted))
            database.commit()
        return cls(path)

    def missing(self, ids: Collection[str]) -> list[str]:
        """Those of the ids that are not there."""
        with self._reading() as database:
            there = {name for (name,) in database.execute("SELECT id FROM passage")}
        return [name for name in ids if name not in there]

    def documents(self, ids: Iterable[str]) -> dict[str, Document]:
        """The documents of these ids that are there."""
        names = iter(dict.fromkeys(ids))
        found = {}
        with self._reading() as database:
            while some := list(islice(names, _ASKED_AT_ONCE)):
                marks = ", ".join("?" * len(some))
                for name, title, text in database.execute(
                    f"SELECT id, title, text FROM passage WHERE id IN ({marks})", some
                ):
                    found[name] = Document(name, text, title)
        return found

    def _reading(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True))


def _documents(collection: str, wanted: Iterable[str], on_bad_line: OnBadLine) -> Iterator[Document]:
    folder = Path(collection)
    if "://" not in collection and folder.is_dir():
        if (folder / "corpus.jsonl").is_file():
            collection = str(folder / "corpus.jsonl")
        elif Index(folder).exists():
            yield from _indexed(Index(folder), wanted)
            return
        else:
            raise InputError(
                f"{folder} is no collection: it holds neither corpus.jsonl nor an index (a folder of Parquet "
                "files is given as 'FOLDER/*.parquet')"
            )
    for address in addresses(collection):
        if address.endswith(".parquet"):
            yield from _parquet(address, on_bad_line)
        else:
            yield from (document for _, document in corpus_lines(address, on_bad_line))


def _indexed(index: Index, wanted: Iterable[str]) -> Iterator[Document]:
    for name in wanted:
        with suppress(MissingPassageError):
            yield index.passage(name)


def _parquet(address: str, on_bad_line: OnBadLine) -> Iterator[Document]:
    for number, row in parquet_rows(address):
        document = _document(row)
        if document is None:
            on_bad_line(InputError(f"{address}: row {number}: the id and 'text' must be strings"))
        else:
            yield document


def _document(row: dict[str, Any]) -> Document | None:
    name = next(row[key] for key in KEYS if key in row)
    text, title = row["text"], row.get("title") or ""
    name = str(name) if isinstance(name, int) else name
    strings = all(isinstance(value, str) for value in (name, text, title))
    return Document(name, text, title) if strings and name else None
