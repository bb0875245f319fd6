"""The SQLite file of an index: the source of truth for its content."""

from __future__ import annotations

import errno
import shlex
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossrank.errors import CrossrankError, InputError, MissingFileError
from crossrank.index.connections import Connection, connect
from crossrank.index.damage import damaged_rows, damaged_vectors
from crossrank.retrieval.words import create_words_table

FORMAT = 2
"""The version of the SQLite file's format; increased when the tables change."""

_FILE = "index.sqlite"
_APPLICATION = 0x63726E6B  # 'crnk', the application id in the file's header
_TABLES = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- The folders (with patterns) and files that were added. `add` without paths updates these.
CREATE TABLE source (
    path TEXT PRIMARY KEY, include TEXT NOT NULL, exclude TEXT NOT NULL, device INTEGER
) WITHOUT ROWID;
-- Paths inside an added folder that were removed with `rm`.
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
-- The sources that include a file; a file without a source is deleted.
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
-- Ids are never reused, so an id in the FAISS file belongs to this passage or to a deleted one.
CREATE TABLE passage (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES document(id),
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL
);
CREATE INDEX passage_of_document ON passage(document);
-- The digest of a passage's content finds the vector of the same text, to reuse it. The checksum is of the
-- vector.
CREATE TABLE vector (
    passage INTEGER PRIMARY KEY REFERENCES passage(id),
    digest BLOB NOT NULL,
    value BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE INDEX vector_by_digest ON vector(digest);
"""
# Apart, since older indexes lack it; it is added when they are written to.
_PART = """
-- The parts of collections (see parts.py) that are in the index.
CREATE TABLE IF NOT EXISTS part (
    file INTEGER NOT NULL REFERENCES file(id),
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    arithmetic TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (file, number)
) WITHOUT ROWID;
"""


class Store:
    """The SQLite file of one index folder.

    Readers see the last committed state while a writer is active (write-ahead logging,
    https://www.sqlite.org/wal.html). Each thread and process has its own connection.

    Args:
        folder: The folder of the index.
        shown: The path to show in messages; the folder by default.
    """

    def __init__(self, folder: Path, shown: Path | None = None) -> None:
        self.folder = folder
        self._shown = folder if shown is None else shown
        self._file = folder / _FILE
        self._local = threading.local()

    def exists(self) -> bool:
        """Whether the folder contains an index."""
        return self._file.is_file()

    def prepare(self) -> None:
        """Create the folder if it does not exist.

        Raises:
            InputError: It contains other files.
        """
        if self.exists():
            return
        if self.folder.exists() and (not self.folder.is_dir() or any(_others(self.folder))):
            raise InputError(
                f"{self._shown} is no index and not empty; name a new folder for the index, or an empty one"
            )
        self.folder.mkdir(parents=True, exist_ok=True)

    def create(self, settings: dict[str, str]) -> None:
        """Create an empty index in the folder; the caller holds the writer's lock."""
        # Created under another name and then renamed, so that a kill leaves no incomplete index.
        partial = self.folder / f"{_FILE}.partial"
        # Also delete leftovers of a lost index, since SQLite would apply its log to the new file.
        for left in self.folder.glob(f"{_FILE}*"):
            left.unlink()
        with _sqlite_errors(self._file):
            database = sqlite3.connect(partial, isolation_level=None)
            try:
                database.executescript(
                    f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {FORMAT};BEGIN; {_TABLES}"
                    f"{_PART}"
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
        """A connection in a read transaction: all queries see the same state.

        Raises:
            InputError: There is no index, or its file is damaged or of another format; or, in a read-only
                folder, somebody else wrote to it meanwhile.
        """
        with _sqlite_errors(self._file):
            kept = self._reader()
            try:
                kept.database.execute("BEGIN")
                with self._checked(kept.database):
                    yield kept.database
            except sqlite3.DatabaseError:
                kept.check_unchanged(self._file)
                raise
            finally:
                if kept.database.in_transaction:
                    kept.database.execute("ROLLBACK")
                kept.lock.release()
            kept.check_unchanged(self._file)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection for writing; the caller begins and commits. Only one at a time: see ``Index``.

        Raises:
            InputError: See :meth:`reading`; or the folder is not writable.
            OSError: The disk is full, or fails.
        """
        self.check_exists()
        with _sqlite_errors(self._file):
            database = sqlite3.connect(self._file, isolation_level=None, timeout=60)
            try:
                _check(database, self._shown)
                database.execute("PRAGMA synchronous = FULL")
                database.execute(_PART)
                with self._checked(database):
                    yield database
            finally:
                database.close()

    def _reader(self) -> Connection:
        """This thread's connection, locked."""
        self.check_exists()
        kept: Connection | None = getattr(self._local, "kept", None)
        if kept is not None:
            kept.lock.acquire()
            if not kept.closed and kept.is_current(self._file):
                return kept
            kept.lock.release()
        self._local.kept = kept = connect(self._file)
        _check(kept.database, self._shown)
        kept.lock.acquire()
        return kept

    @contextmanager
    def _checked(self, database: sqlite3.Connection) -> Iterator[None]:
        """On an unexpected error, check whether it is caused by a damaged index."""
        try:
            yield
        except (CrossrankError, OSError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, sqlite3.DatabaseError) and _code(error) != sqlite3.SQLITE_ERROR:
                raise
            self.check_rows(database, error)
            self.check_vectors(database, error)
            raise

    def check_rows(self, database: sqlite3.Connection, cause: Exception | None = None) -> None:
        """Raise InputError if a row is damaged."""
        if problem := damaged_rows(database):
            raise _damaged(self._file, problem) from cause

    def check_vectors(self, database: sqlite3.Connection, cause: Exception | None = None) -> None:
        """Raise InputError if a vector is damaged."""
        if count := damaged_vectors(database):
            raise InputError(
                f"{self._file} is damaged ({count} vectors are not as they were written); make them again: "
                f"crossrank index rebuild {shlex.quote(str(self._shown))}"
            ) from cause

    def check_exists(self) -> None:
        """Raise MissingFileError if the folder contains no index."""
        if not self.exists():
            raise MissingFileError(
                f"there is no index at {self._shown}; make one: "
                f"crossrank index add {shlex.quote(str(self._shown))} PATH..."
            )


def new_epoch() -> str:
    """A unique name for a set of vectors; FAISS files of earlier epochs are ignored."""
    return uuid.uuid4().hex[:12]


def setting(database: sqlite3.Connection, name: str, default: str | None = None) -> str:
    """One of the index's settings; the default for one that older indexes do not have."""
    row = database.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return default if row is None and default is not None else str(row[0])


def count_generation(database: sqlite3.Connection) -> None:
    """Increase the generation after passages changed, so that readers load the vectors again."""
    database.execute("UPDATE setting SET value = value + 1 WHERE name = 'generation'")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """A transaction: commits at the end, rolls back on an error."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _check(database: sqlite3.Connection, folder: Path) -> None:
    application, version = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != _APPLICATION:
        database.close()
        raise InputError(f"{folder / _FILE} was not made by crossrank; name another folder")
    if version != FORMAT:
        database.close()
        advice = "update crossrank" if version > FORMAT else "remove the folder, and make the index again"
        raise InputError(
            f"{folder} is an index of format {version}, and this crossrank reads format {FORMAT}; {advice}"
        )


@contextmanager
def _sqlite_errors(file: Path) -> Iterator[None]:
    """Convert SQLite's errors to crossrank's."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = _code(error)
        if code == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, "the disk is full; the index is as it was", str(file)) from error
        if code == sqlite3.SQLITE_IOERR:
            raise OSError(
                errno.EIO, f"the disk failed ({error}); the index is as it was", str(file)
            ) from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            raise InputError(f"{file} cannot be opened ({error}); check the folder's permissions") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
            raise InputError(f"{file} is in use by another program ({error}); try again") from error
        # Content not written by crossrank: invalid text, missing columns or tables, duplicate ids.
        strange = any(sign in str(error) for sign in ("decode to UTF-8", "no such column", "no such table"))
        if strange or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT):
            raise _damaged(file, error) from error
        raise


def _code(error: sqlite3.DatabaseError) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _damaged(file: Path, problem: object) -> InputError:
    return InputError(
        f"{file} is damaged ({problem}); remove the folder and make the index again with crossrank index add"
    )


def _others(folder: Path) -> Iterator[Path]:
    """The files in a folder that are not leftovers of an interrupted creation."""
    return (path for path in folder.iterdir() if not path.name.startswith((_FILE, "writer.lock")))
