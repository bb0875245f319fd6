"""Connections for reading an index: one per thread, safe across forks, also in read-only folders."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from crossrank.errors import InputError

# SQLite's errors when it cannot create the files that readers and a writer share.
_UNSHARED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
# How long a fork waits for a running search of another thread, in seconds.
_FORK_WAITS = 5.0


@dataclass(slots=True, weakref_slot=True, eq=False)
class Connection:
    """A thread's connection for reading; closed when it is garbage-collected, and before a fork.

    Attributes:
        database: The connection.
        state: The state of the file when it was opened.
        unlocked: Whether SQLite reads the file without locks, assuming that nobody writes to it.
        process: The process that opened it.
        lock: Held while it is in use.
        closed: Whether it was closed before a fork.
    """

    database: sqlite3.Connection
    state: tuple[int, ...]
    unlocked: bool
    process: int = field(default_factory=os.getpid)
    lock: threading.RLock = field(default_factory=threading.RLock)
    closed: bool = False

    def is_current(self, file: Path) -> bool:
        """Whether the file is still the one that was opened."""
        return self.state == _state(file, self.unlocked)

    def check_unchanged(self, file: Path) -> None:
        """Raise InputError if the file was written to while it was read without locks."""
        if self.unlocked and not self.is_current(file):
            raise InputError(
                f"{file} was written to while it was read, by one who may write there; try again"
            )


_kept: weakref.WeakSet[Connection] = weakref.WeakSet()
_connecting = threading.Lock()


def _close(process: int, database: sqlite3.Connection) -> None:
    if process == os.getpid():
        database.close()


def _close_before_fork() -> None:
    """Close the connections of all threads; they open new ones when needed.

    A child process does not inherit SQLite's locks, and SQLite does not notice
    (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
    """
    _connecting.acquire()
    for kept in list(_kept):
        if kept.lock.acquire(timeout=_FORK_WAITS):
            kept.database.close()
            kept.closed = True
            kept.lock.release()


def _begin_in_child() -> None:
    _kept.clear()
    _connecting.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_close_before_fork, after_in_parent=_connecting.release, after_in_child=_begin_in_child
    )


def connect(file: Path) -> Connection:
    """Open a connection for reading, also in a read-only folder.

    Raises:
        sqlite3.DatabaseError: It cannot be opened.
    """
    with _connecting:
        connection = _connect(file)
        _kept.add(connection)
        return connection


def _connect(file: Path) -> Connection:
    uri = file.resolve().as_uri()
    # If possible, the file is opened for writing, since only then can SQLite share the log with a writer.
    ways = [f"{uri}?mode=rw", f"{uri}?mode=ro"]
    state = _state(file, unlocked=True)
    if not _has_log(file):
        # Without a log nobody is writing, and SQLite can read the file without creating others. This works in
        # read-only folders and on full disks.
        ways.append(f"{uri}?immutable=1")
    for last, way in enumerate(ways, start=1 - len(ways)):
        database = sqlite3.connect(way, uri=True, isolation_level=None, timeout=60, check_same_thread=False)
        try:
            database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            database.execute("PRAGMA query_only = ON")
        except sqlite3.DatabaseError as error:
            database.close()
            if not last or error.sqlite_errorcode & 0xFF not in _UNSHARED:
                raise
        else:
            unlocked = "immutable" in way
            kept = Connection(database, state if unlocked else _state(file, unlocked), unlocked)
            weakref.finalize(kept, _close, kept.process, database)
            return kept
    raise AssertionError("the last way returns or raises")


def _state(file: Path, unlocked: bool) -> tuple[int, ...]:
    """The identity of a file; for one that is read without locks, also its size and modification time."""
    status = file.stat()
    same = status.st_dev, status.st_ino
    return (*same, status.st_size, status.st_mtime_ns, _has_log(file)) if unlocked else same


def _has_log(file: Path) -> bool:
    log = file.with_name(f"{file.name}-wal")
    return log.exists() and log.stat().st_size > 0
