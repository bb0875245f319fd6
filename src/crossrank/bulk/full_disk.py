"""A full disk: one error for what SQLite and the system call it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reported(output: Path) -> Iterator[None]:
    """Raise one error if the disk becomes full.

    Args:
        output: What the job writes, for the error.

    Raises:
        OSError: The disk is full; ``errno`` is ENOSPC.
    """
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not _is_full(error):
            raise
        raise OSError(errno.ENOSPC, "the disk is full; what is done is kept", str(output)) from error


def _is_full(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
