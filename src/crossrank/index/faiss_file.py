"""The FAISS file of an index: written atomically, with its generation in its name, and checked when read."""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from crossrank.index.kinds import is_of_kind
from crossrank.index.store import setting

_BYTES_AT_ONCE = 1 << 20
# The file ends with a CRC-32 of the rest, since FAISS does not detect damage, and may crash on it.
_CHECKSUM = 4


def _files(folder: Path, epoch: str = "*") -> list[tuple[int, Path]]:
    """The FAISS files of an epoch with their generations, newest first."""
    found = []
    for path in folder.glob(f"vectors-{epoch}-*.faiss"):
        with suppress(ValueError):
            found.append((int(path.stem.rpartition("-")[2]), path))
    return sorted(found, reverse=True)


def newest_file(folder: Path, epoch: str) -> int:
    """The generation of the newest file of an epoch; -1 if there is none."""
    return next((generation for generation, _ in _files(folder, epoch)), -1)


def is_current(folder: Path, database: sqlite3.Connection) -> bool:
    """Whether the newest file has the current generation and is complete."""
    wanted = int(setting(database, "generation"))
    newest = next(iter(_files(folder, setting(database, "epoch"))), None)
    return newest is not None and newest[0] == wanted and _is_whole(newest[1])


def read_file(folder: Path, epoch: str, dimension: int, similarity: str, kind: str) -> tuple[int, Any]:
    """The generation and the content of the newest readable file; -1 and None if there is none."""
    import faiss

    for generation, path in _files(folder, epoch):
        # A damaged file, or one that was just replaced, is skipped: SQLite has all vectors.
        with suppress(OSError, RuntimeError):
            index = faiss.read_index(str(path)) if _is_whole(path) else None
            if _is_ours(index, dimension, similarity, kind):
                return generation, index
    return -1, None


def _is_whole(path: Path) -> bool:
    """Whether a file is complete and undamaged."""
    checksum = 0
    with path.open("rb") as file:
        left = path.stat().st_size - _CHECKSUM
        while left > 0 and (data := file.read(min(left, _BYTES_AT_ONCE))):
            checksum = zlib.crc32(data, checksum)
            left -= len(data)
        return left == 0 and file.read() == checksum.to_bytes(_CHECKSUM, "little")


def _is_ours(index: Any, dimension: int, similarity: str, kind: str) -> bool:
    """Whether a FAISS index is of the kind that this module writes."""
    import faiss

    if not isinstance(index, faiss.IndexIDMap2):
        return False
    inner = faiss.downcast_index(index.index)
    return (
        is_of_kind(inner, kind, similarity)
        and index.d == inner.d == dimension
        and index.ntotal == inner.ntotal == index.id_map.size()
    )


def write_file(folder: Path, database: sqlite3.Connection, index: Any) -> None:
    """Write an index for the current generation, and delete the files of other generations.

    Raises:
        OSError: It cannot be written; the existing files are kept.
    """
    import faiss

    name = f"vectors-{setting(database, 'epoch')}-{setting(database, 'generation')}.faiss"
    partial = folder / f"{name}.partial"
    try:
        # Written with Python, since FAISS's own writer ignores a full disk when it closes the file.
        with partial.open("wb") as file:
            checksum = 0

            def write(data: bytes) -> int:
                nonlocal checksum
                checksum = zlib.crc32(data, checksum)
                return file.write(data)

            writer = faiss.PyCallbackIOWriter(write, _BYTES_AT_ONCE)  # type: ignore[attr-defined]
            faiss.write_index(index, writer)
            file.write(checksum.to_bytes(_CHECKSUM, "little"))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / name)
    except OSError as error:
        raise OSError(
            error.errno, f"the vectors cannot be written ({error.strerror})", str(folder / name)
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    forget_files(folder, but=name)


def forget_files(folder: Path, but: str = "") -> None:
    """Delete all FAISS files except one."""
    for path in folder.glob("vectors-*"):
        if path.name != but:
            with suppress(OSError):  # on Windows, a file that is being read cannot be deleted
                path.unlink()
