"""The files and folders that were added to an index, and the files that they contain now."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossrank.errors import InputError
from crossrank.text import Notify, find_files

# Such as s3://bucket/corpus.jsonl; as a Path it has lost one of the slashes.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+([^/].*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder that was added.

    Attributes:
        path: The absolute path, with symbolic links resolved, so that each file has exactly one path.
        include: For a folder, patterns of files to include, in .gitignore syntax; all files if empty.
        exclude: Patterns of files to exclude.
        device: The drive that it was on when it last contained files; None before that.
    """

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    device: int | None = None

    def check(self) -> None:
        """Raise InputError if the path does not exist or a pattern is malformed."""
        find_files([self.path], include=self.include, exclude=self.exclude)

    def files(self, removed: frozenset[str], notify: Notify) -> Iterator[tuple[Path, bool]]:
        """Yield each file that this source contains now, and whether it was added by its own path.

        Args:
            removed: Paths that were removed with ``rm``. They are left out of folders that contain them, but
                not of a source within them that was added later.
            notify: Called with a notice for each folder that cannot be read.
        """
        out = {path for path in removed if not within(self.path, path)}
        for found in find_files([self.path], include=self.include, exclude=self.exclude, notify=notify):
            path = Path(os.path.realpath(found.path))
            if found.named or not out or not any(str(part) in out for part in (path, *path.parents)):
                yield path, found.named


def resolve(path: Path | str) -> str:
    """The absolute path of a file or folder, with symbolic links resolved; an address stays as it is.

    Raises:
        InputError: It is not a valid path, or its name is not UTF-8.
    """
    if not str(path):
        raise InputError("a path is empty; write . for the working directory")
    if address := _ADDRESS.fullmatch(str(path)):
        return "{}://{}".format(*address.groups())
    try:
        real = os.path.realpath(path)
        real.encode()
    except (OSError, ValueError) as error:  # a loop of links; a NUL byte; a name that is not UTF-8
        raise InputError(f"{str(path)!a:.200} is no path that can be used: {error}") from error
    return real


def within(path: str, folder: str) -> bool:
    """Whether a path is the folder itself or inside it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def is_unmounted(source: Source) -> bool:
    """Whether the source is on another drive than before, such as an empty mount point."""
    try:
        return source.device not in (None, Path(source.path).stat().st_dev)
    except OSError:
        return True


def keep_device(database: sqlite3.Connection, source: Source) -> None:
    """Remember which drive the source's files are on."""
    device = Path(source.path).stat().st_dev
    if device != source.device:
        database.execute("UPDATE source SET device = ? WHERE path = ?", (device, source.path))


def read_sources(database: sqlite3.Connection) -> list[Source]:
    """All sources, sorted by path."""
    rows = database.execute("SELECT path, include, exclude, device FROM source ORDER BY path")
    return [
        Source(path, tuple(json.loads(include)), tuple(json.loads(exclude)), device)
        for path, include, exclude, device in rows
    ]


def keep_source(database: sqlite3.Connection, source: Source) -> Source:
    """Store a source, and mark it as no longer removed; paths that were removed inside it stay removed.

    Returns:
        The source; if it has no patterns, with those that it had before.
    """
    database.execute("DELETE FROM removed WHERE path = ?", (source.path,))
    before = next((known for known in read_sources(database) if known.path == source.path), None)
    if before is not None and not source.include and not source.exclude:
        return before
    kept = Source(source.path, source.include, source.exclude, before.device if before else None)
    database.execute(
        "INSERT OR REPLACE INTO source VALUES (?, ?, ?, ?)",
        (kept.path, json.dumps(kept.include), json.dumps(kept.exclude), kept.device),
    )
    return kept


def removed_paths(database: sqlite3.Connection) -> frozenset[str]:
    """The paths that were removed with ``rm``."""
    return frozenset(row[0] for row in database.execute("SELECT path FROM removed"))


def remove(database: sqlite3.Connection, paths: Sequence[str]) -> None:
    """Delete the sources and files at or inside the paths; other sources leave them out from now on.

    Raises:
        InputError: The index contains nothing at one of the paths.
    """
    for path in paths:
        ours = [source.path for source in read_sources(database) if within(source.path, path)]
        files = [file for file, name in database.execute("SELECT id, path FROM file") if within(name, path)]
        if not ours and not files:
            raise InputError(f"the index holds nothing at {path}; crossrank index ls shows what it holds")
        database.executemany("DELETE FROM found WHERE source = ?", ((source,) for source in ours))
        database.executemany("DELETE FROM source WHERE path = ?", ((source,) for source in ours))
        database.executemany("DELETE FROM found WHERE file = ?", ((file,) for file in files))
        covered = [(gone,) for gone in removed_paths(database) if within(gone, path)]
        database.executemany("DELETE FROM removed WHERE path = ?", covered)
        database.execute("INSERT INTO removed VALUES (?)", (path,))
