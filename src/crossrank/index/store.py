"""The SQLite file of an index: the only truth about what it holds."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crossrank.errors import InputError
from crossrank.retrieval.words import create_words_table

FORMAT = 1
"""Of the SQLite file; it is raised when the tables change."""

_FILE = "index.sqlite"
_APPLICATION = 0x63726E6B  # 'crnk', by which SQLite's file tells whose it is
_TABLES = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- What was added: a folder with its patterns, or a file. `add` without paths reads these again.
CREATE TABLE source (path TEXT PRIMARY KEY, include TEXT NOT NULL, exclude TEXT NOT NULL) WITHOUT ROWID;
-- What was removed by hand within a folder that was added.
CREATE TABLE removed (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE file (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    read_ns INTEGER NOT NULL,
    digest BLOB NOT NULL,
    problem TEXT
);
-- Which sources mean a file; a file that none means is deleted.
CREATE TABLE found (
    source TEXT NOT NULL, file INTEGER NOT NULL REFERENCES file(id), PRIMARY KEY (file, source)
) WITHOUT ROWID;
CREATE INDEX found_by_source ON found(source);
CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL REFERENCES file(id),
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    metadata TEXT NOT NULL
);
CREATE INDEX document_of_file ON document(file);
-- Ids are never used again, so a vector elsewhere that has one is a passage's own or nobody's.
CREATE TABLE passage (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES document(id),
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL
);
CREATE INDEX passage_of_document ON passage(document);
CREATE TABLE vector (passage INTEGER PRIMARY KEY REFERENCES passage(id), value BLOB NOT NULL);
"""


class Store:
    """The SQLite file of one index folder.

    Readers see what was last committed, whatever a writer is doing (write-ahead logging,
    https://www.sqlite.org/wal.html). Each thread and process has a connection of its own.

    Args:
        folder: The index.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / _FILE
        self._local = threading.local()

    def exists(self) -> bool:
        """Whether the folder holds an index."""
        return self._file.is_file()

    def prepare(self) -> None:
        """Make the folder where there is none.

        Raises:
            InputError: It holds other things.
        """
        if self.exists():
            return
        if self.folder.exists() and (not self.folder.is_dir() or any(_others(self.folder))):
            raise InputError(
                f"{self.folder} is no index and not empty; name a new folder for the index, or an empty one"
            )
        self.folder.mkdir(parents=True, exist_ok=True)

    def create(self, settings: dict[str, str]) -> None:
        """Make an empty index in the folder; the caller holds the writer's lock."""
        # Made beside and moved into its place whole, so that a kill leaves no half-made one.
        partial = self.folder / f"{_FILE}.partial"
        partial.unlink(missing_ok=True)
        with _told(self._file):
            database = sqlite3.connect(partial, isolation_level=None)
            try:
                database.executescript(
                    f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {FORMAT};BEGIN; {_TABLES}"
                )
                create_words_table(database, "words")
                values = {"generation": "0", "epoch": new_epoch(), **settings}
                database.executemany("INSERT INTO setting VALUES (?, ?)", values.items())
                database.execute("COMMIT")
                database.execute("PRAGMA journal_mode = WAL")
            finally:
                database.close()
        partial.replace(self._file)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection whose queries all see one and the same state.

        Raises:
            InputError: There is no index, or its file is damaged, or of another format.
        """
        with _told(self._file):
            database = self._reader()
            database.execute("BEGIN")
            try:
                yield database
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection to write with; the caller begins and commits. Only one at a time: see ``Index``.

        Raises:
            InputError: As for :meth:`reading`, or the folder is not writable.
            OSError: The disk is full, or fails.
        """
        self.check_exists()
        with _told(self._file):
            database = sqlite3.connect(self._file, isolation_level=None, timeout=60)
            try:
                _check(database, self.folder)
                database.execute("PRAGMA synchronous = FULL")
                yield database
            finally:
                database.close()

    def _reader(self) -> sqlite3.Connection:
        """This thread's connection; a forked child needs one of its own."""
        kept: _Kept | None = getattr(self._local, "kept", None)
        if kept is None or kept.process != os.getpid():
            self.check_exists()
            database = _connect(self._file)
            _check(database, self.folder)
            self._local.kept = kept = _Kept(os.getpid(), database)
            weakref.finalize(kept, _close, kept.process, database)
        return kept.database

    def check_exists(self) -> None:
        """InputError where the folder holds no index."""
        if not self.exists():
            raise InputError(
                f"there is no index at {self.folder}; make one: crossrank index add {self.folder} PATH..."
            )


def new_epoch() -> str:
    """A name for a set of vectors that no other has: files of vectors made before are of no use then."""
    return uuid.uuid4().hex[:12]


def setting(database: sqlite3.Connection, name: str) -> str:
    """One of the index's settings."""
    return str(database.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()[0])


def count_generation(database: sqlite3.Connection) -> None:
    """Say that passages changed: who searches looks again which vectors there are."""
    database.execute("UPDATE setting SET value = value + 1 WHERE name = 'generation'")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing of what is written within."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _connect(file: Path) -> sqlite3.Connection:
    """A connection to read with, wherever the file lies."""
    uri = file.resolve().as_uri()
    # A folder that is writable is opened so: only then can SQLite share the log with a writer.
    ways = [f"{uri}?mode=rw", f"{uri}?mode=ro"]
    log = file.with_name(f"{file.name}-wal")
    if not log.exists() or log.stat().st_size == 0:
        # Without a log nobody is writing, and SQLite needs no files beside to read a folder it cannot write.
        ways.append(f"{uri}?immutable=1")
    for last, way in enumerate(ways, start=1 - len(ways)):
        database = sqlite3.connect(way, uri=True, isolation_level=None, timeout=60, check_same_thread=False)
        try:
            database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            database.execute("PRAGMA query_only = ON")
            return database
        except sqlite3.OperationalError as error:
            database.close()
            if not last or error.sqlite_errorcode & 0xFF not in (
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
            ):
                raise
    raise AssertionError("the last way returns or raises")


def _check(database: sqlite3.Connection, folder: Path) -> None:
    application, version = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != _APPLICATION:
        database.close()
        raise InputError(f"{folder / _FILE} was not made by crossrank; name another folder")
    if version != FORMAT:
        database.close()
        raise InputError(
            f"{folder} is an index of format {version}, and this crossrank reads format {FORMAT}; "
            "update crossrank, or make the index anew with crossrank index add"
        )


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, "the disk is full; the index is as it was", str(file)) from error
        if code == sqlite3.SQLITE_IOERR:
            raise OSError(
                errno.EIO, f"the disk failed ({error}); the index is as it was", str(file)
            ) from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            raise InputError(f"{file} cannot be opened ({error}); check the folder's permissions") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise InputError(
                f"{file} is damaged ({error}); remove the folder and make the index anew with "
                "crossrank index add"
            ) from error
        raise


def _others(folder: Path) -> Iterator[Path]:
    """What a folder holds besides the traces of an index that was about to be made."""
    return (path for path in folder.iterdir() if not path.name.startswith((_FILE, "writer.lock")))


@dataclass(slots=True, weakref_slot=True)
class _Kept:
    """A thread's connection; closed with the thread or the store, whichever ends first."""

    process: int
    database: sqlite3.Connection


def _close(process: int, database: sqlite3.Connection) -> None:
    if process == os.getpid():
        database.close()
