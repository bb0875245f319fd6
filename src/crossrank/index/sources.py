"""What was added to an index, and which files that means now."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossrank.errors import InputError
from crossrank.text import Notify, find_files


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder that was added.

    Attributes:
        path: Absolute, with symbolic links resolved: so a file has one name, however it is reached.
        include: For a folder, patterns of the files to take, in the syntax of .gitignore; all where none.
        exclude: Patterns of those to leave.
        device: The drive that it lay on when it last held files; None before that.
    """

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    device: int | None = None

    def check(self) -> None:
        """InputError where it does not exist, or a pattern is malformed."""
        find_files([self.path], include=self.include, exclude=self.exclude)

    def files(self, removed: frozenset[str], notify: Notify) -> Iterator[tuple[Path, bool]]:
        """Every file that this means now, and whether it was named itself.

        Args:
            removed: What was removed by hand. It binds the folders that it lies in, and not what was added
                within it afterwards.
            notify: Called with a notice of each folder that cannot be read.
        """
        out = {path for path in removed if not within(self.path, path)}
        for found in find_files([self.path], include=self.include, exclude=self.exclude, notify=notify):
            path = Path(os.path.realpath(found.path))
            if found.named or not out or not any(str(part) in out for part in (path, *path.parents)):
                yield path, found.named


def resolve(path: Path | str) -> str:
    """The one name of a file or folder.

    Raises:
        InputError: It is no path, or has a name that is not UTF-8.
    """
    if not str(path):
        raise InputError("a path is empty; write . for the working directory")
    try:
        real = os.path.realpath(path)
        real.encode()
    except (OSError, ValueError) as error:  # a loop of links; a NUL byte; a name that is not UTF-8
        raise InputError(f"{str(path)!a:.200} is no path that can be used: {error}") from error
    return real


def within(path: str, folder: str) -> bool:
    """Whether a path is that folder's or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def is_unmounted(source: Source) -> bool:
    """Whether another drive is there than when the source held files: an empty mount point, perhaps."""
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
    """All that was added, by path."""
    rows = database.execute("SELECT path, include, exclude, device FROM source ORDER BY path")
    return [
        Source(path, tuple(json.loads(include)), tuple(json.loads(exclude)), device)
        for path, include, exclude, device in rows
    ]


def keep_source(database: sqlite3.Connection, source: Source) -> Source:
    """Remember a source, which is no longer removed; what was removed within it stays out.

    Returns:
        The source, with the patterns that it had before where it has none now.
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
    """What was removed by hand."""
    return frozenset(row[0] for row in database.execute("SELECT path FROM removed"))


def remove(database: sqlite3.Connection, paths: Sequence[str]) -> None:
    """Forget sources and files at or within the paths; folders that remain leave them out from now on.

    Raises:
        InputError: The index holds nothing at one of the paths.
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
