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
        if not is_full(error):
            raise
        # It may be another disk than that of the output, such as that of temporary files.
        raise OSError(errno.ENOSPC, "a disk is full; what is done is kept", str(output)) from error


def is_full(error: OSError | sqlite3.OperationalError) -> bool:
    """Whether an error says that a disk is full, or that a user has no more space on it."""
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
