"""Find files: walk folders, and apply include and exclude patterns."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossrank.errors import InputError, MissingFileError
from crossrank.text.ignoring import Patterns, Rule, compile_patterns, is_ignored, read_rule, rules_above
from crossrank.text.naming import printable
from crossrank.text.notices import Notify, ignore, left_out


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that may be read.

    Attributes:
        path: The path as given, or the given path of a folder joined with the relative path.
        named: Whether the caller gave this file, rather than a folder that contains it.
    """

    path: Path
    named: bool


def find_files(
    paths: Iterable[Path | str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    notify: Notify = ignore,
) -> Iterator[FoundFile]:
    """Find every file once; no file is opened except ``.gitignore``.

    Folders are walked in sorted order, including symbolic links that stay within the folder. Hidden files are
    skipped, and so are files that match a ``.gitignore`` in the folder or above it, up to the root of the
    repository (the folder with ``.git``). A file that is given directly is always found, whatever the
    patterns.

    Args:
        paths: Files and folders.
        include: Take only files in folders that match one of these patterns, in gitignore syntax
            (https://git-scm.com/docs/gitignore), relative to the folder. All files by default.
        exclude: Leave out files in folders that match one of these patterns.
        notify: Called with a notice for each folder that cannot be read, each entry that is not a regular
            file, and each link that leads out of the folder.

    Returns:
        A lazy iterator over the files.

    Raises:
        InputError: A path does not exist, or a pattern is malformed. Raised before walking begins.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     for name in ["notes.md", "old.md", "photo.png"]:
        ...         Path(folder, name).touch()
        ...     [file.path.name for file in find_files([folder], include=["*.md"], exclude=["old*"])]
        ['notes.md']
    """
    if isinstance(paths, str):
        raise InputError("paths must be a list; a single string was given. Write [path] for one path.")
    walk = _Walk(
        compile_patterns(include, "include"),
        compile_patterns(exclude, "exclude"),
        notify,
    )
    return _every_file_once([(path, _is_folder(path)) for path in map(Path, paths)], walk)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise MissingFileError(f"{printable(path)} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{printable(path)} cannot be read: {error}") from error


def _every_file_once(paths: list[tuple[Path, bool]], walk: _Walk) -> Iterator[FoundFile]:
    seen: set[str] = set()
    for path, is_folder in paths:
        for file, real in walk.files(path) if is_folder else [(path, os.path.realpath(path))]:
            if real not in seen:
                seen.add(real)
                yield FoundFile(file, named=not is_folder)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder during the walk: its path as given, its real path, and its depth.

    ``place`` is the path relative to the root folder, which patterns are matched against. It differs from the
    real path if the walk went through a symbolic link.
    """

    path: Path
    real: str
    place: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class _Walk:
    include: Patterns | None
    exclude: Patterns | None
    notify: Notify

    def files(self, root: Path) -> Iterator[tuple[Path, str]]:
        """Yield each file with its real path, sorted by the parts of its path."""
        real = os.path.realpath(root)
        top = _Folder(root, real, real, rules_above(real))
        visited: set[str] = set()
        # A stack instead of recursion, since folders can be nested deeper than Python's recursion limit.
        waiting: list[Iterator[_Folder | tuple[Path, str]]] = [iter([top])]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
            elif isinstance(entry, tuple):
                yield entry
            elif entry.real not in visited:
                visited.add(entry.real)
                waiting.append(self._entries(entry, top))

    def _entries(self, folder: _Folder, top: _Folder) -> Iterator[_Folder | tuple[Path, str]]:
        try:
            with os.scandir(folder.path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            text = f"{printable(folder.path)} cannot be read: {error.strerror}"
            self.notify(left_out(text, folder=folder.path))
            return
        rule = read_rule(str(folder.path), folder.place)
        rules = folder.rules if rule is None else (*folder.rules, rule)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path, place = folder.path / entry.name, f"{folder.place.rstrip('/')}/{entry.name}"
            is_folder = _holds(entry.is_dir)
            if is_ignored(place, rules, is_folder=is_folder) or not self._wants(place, top, is_folder):
                continue
            real = os.path.realpath(path) if entry.is_symlink() else f"{folder.real.rstrip('/')}/{entry.name}"
            if not is_folder and not _holds(entry.is_file):
                self.notify(left_out(f"{printable(path)} is not a regular file"))
            elif not f"{real}/".startswith(f"{top.real.rstrip('/')}/"):
                self.notify(
                    left_out(
                        f"{printable(path)} is a link that leads out of {printable(top.path)}, to "
                        f"{printable(Path(real))}; name that too if it is to be read"
                    )
                )
            elif is_folder:
                yield _Folder(path, real, place, rules)
            else:
                yield path, real

    def _wants(self, place: str, top: _Folder, is_folder: bool) -> bool:
        relative = place[len(top.place.rstrip("/")) + 1 :]
        if self.exclude is not None and self.exclude.says(relative, is_folder=is_folder):
            return False
        return self.include is None or is_folder or bool(self.include.says(relative, is_folder=False))


def _holds(question: Callable[[], bool]) -> bool:
    """Ask a directory entry for its type; False for a link that is broken or loops."""
    try:
        return question()
    except OSError:
        return False
