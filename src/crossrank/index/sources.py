"""What was added to an index, and which files that means now."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossrank.errors import InputError
from crossrank.text import find_files


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder that was added.

    Attributes:
        path: Absolute, with symbolic links resolved: so a file has one name, however it is reached.
        include: For a folder, patterns of the files to take, in the syntax of .gitignore; all where none.
        exclude: Patterns of those to leave.
    """

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def files(self, removed: Iterable[str], skipped: list[str]) -> Iterator[tuple[Path, bool]]:
        """Every file that this means now, and whether it was named itself.

        Args:
            removed: What was removed by hand. It binds the folders that it lies in, and not what was added
                within it afterwards.
            skipped: Gets a sentence for each folder that cannot be read.
        """
        out = [path for path in removed if not within(self.path, path)]
        for found in find_files([self.path], include=self.include, exclude=self.exclude, skipped=skipped):
            path = os.path.realpath(found.path)
            if found.named or not any(within(path, gone) for gone in out):
                yield Path(path), found.named


def resolve(path: Path | str) -> str:
    """The one name of a file or folder.

    Raises:
        InputError: It is no path.
    """
    try:
        return os.path.realpath(path)
    except (OSError, ValueError) as error:  # a loop of links; a NUL byte
        raise InputError(f"{path!s:.200} is no path: {error}") from error


def within(path: str, folder: str) -> bool:
    """Whether a path is that folder's or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def read_sources(database: sqlite3.Connection) -> list[Source]:
    """All that was added, by path."""
    rows = database.execute("SELECT path, include, exclude FROM source ORDER BY path")
    return [
        Source(path, tuple(json.loads(include)), tuple(json.loads(exclude)))
        for path, include, exclude in rows
    ]


def keep_source(database: sqlite3.Connection, source: Source) -> None:
    """Remember a source, which is no longer removed; what was removed within it stays out."""
    database.execute("DELETE FROM removed WHERE path = ?", (source.path,))
    database.execute(
        "INSERT OR REPLACE INTO source VALUES (?, ?, ?)",
        (source.path, json.dumps(source.include), json.dumps(source.exclude)),
    )


def removed_paths(database: sqlite3.Connection) -> list[str]:
    """What was removed by hand."""
    return [row[0] for row in database.execute("SELECT path FROM removed")]


def remove(database: sqlite3.Connection, paths: Sequence[str]) -> None:
    """Forget sources and files at or within the paths; folders that remain leave them out from now on.

    Raises:
        InputError: The index holds nothing at one of the paths.
    """
    for path in paths:
        sources = read_sources(database)
        ours = [source.path for source in sources if within(source.path, path)]
        files = [row[0] for row in database.execute("SELECT path FROM file") if within(row[0], path)]
        if not ours and not files:
            raise InputError(f"the index holds nothing at {path}; crossrank index ls shows what it holds")
        database.executemany("DELETE FROM found WHERE source = ?", ((source,) for source in ours))
        database.executemany("DELETE FROM source WHERE path = ?", ((source,) for source in ours))
        database.executemany(
            "DELETE FROM found WHERE file = (SELECT id FROM file WHERE path = ?)", ((file,) for file in files)
        )
        covered = [(gone,) for gone in removed_paths(database) if within(gone, path)]
        database.executemany("DELETE FROM removed WHERE path = ?", covered)
        database.execute("INSERT INTO removed VALUES (?)", (path,))
