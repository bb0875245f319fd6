"""What was measured on this machine, kept in the user's cache folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossrank.files import replacing
from crossrank.settings import cache_folder

_FILE, _LOCK = "precision.json", "precision.lock"
# In seconds, for another process that measures or writes. One that was stopped is not waited for.
_PATIENCE = 10.0
# For threads, also where the cache folder cannot be written to.
_threads = threading.RLock()


def remembered(kind: str, key: str) -> Any:
    """What was kept under a key; None if there is nothing, or the file cannot be read."""
    return _content().get(kind, {}).get(key)


def remember(kind: str, key: str, value: Any) -> None:
    """Keep a value that JSON can hold, if the cache folder can be written to.

    The file is replaced as a whole, so a reader never sees half of it.
    """
    with measuring():
        content = _content()
        content.setdefault(kind, {})[key] = value
        with suppress(OSError):
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(folder / _FILE) as unfinished:
                unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")


@contextmanager
def measuring() -> Iterator[None]:
    """Keep other processes and threads from measuring until the block ends.

    They would spoil each other's timing; and processes that start at the same time would measure differently
    and so choose different arithmetic, where the second one should take what the first one found. Where the
    cache folder cannot be written to, only threads are kept out.
    """
    with _threads:
        lock = None
        with suppress(OSError, Timeout):
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            lock = _lock(folder / _LOCK)
            lock.acquire()
        try:
            yield
        finally:
            if lock is not None and lock.is_locked:
                lock.release()


@cache
def _lock(path: Path) -> FileLock:
    """One for each file: a thread that holds it may take it again."""
    return FileLock(path, timeout=_PATIENCE)


def _content() -> dict[str, dict[str, Any]]:
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads((cache_folder() / _FILE).read_text(encoding="utf-8"))
        if isinstance(content, dict) and all(isinstance(values, dict) for values in content.values()):
            return content
    return {}
