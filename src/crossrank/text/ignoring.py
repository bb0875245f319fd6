"""Ignore patterns: ``.gitignore`` files, and patterns given by the caller."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossrank.errors import InputError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec, PathSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns in gitignore syntax; the last pattern that matches decides.

    For files, pathspec prefers a pattern that matches the file itself to one that matches its folder. For
    folders it must not, or ``!*/`` could never include a folder again.
    """

    files: GitIgnoreSpec
    folders: PathSpec[GitIgnoreSpecPattern]

    def says(self, relative: str, *, is_folder: bool) -> bool | None:
        """Whether an entry matches: False if ``!`` includes it again, None if no pattern matches."""
        if is_folder:
            return self.folders.check_file(f"{relative}/").include
        return self.files.check_file(relative).include


@dataclass(frozen=True, slots=True)
class Rule:
    """The patterns of a ``.gitignore``, and the real folder that they are relative to."""

    folder: str
    patterns: Patterns


def compile_patterns(patterns: Sequence[str], option: str) -> Patterns | None:
    """Compile patterns in gitignore syntax (https://git-scm.com/docs/gitignore); None if there are none.

    Raises:
        InputError: A single string was given, or a pattern is malformed.
    """
    if isinstance(patterns, str):
        raise InputError(f"{option} must be a list of patterns; write [{patterns!r}] for one")
    try:
        return _compiled(patterns) if patterns else None
    except ValueError as error:
        raise InputError(
            f"{option} holds a malformed pattern ({error}); write it as in a .gitignore"
        ) from error


def read_rule(folder: str, real: str) -> Rule | None:
    """Read the ``.gitignore`` of a folder with the real path ``real``; None if there is no readable one."""
    path = os.path.join(folder, ".gitignore")  # noqa: PTH118
    if not os.path.isfile(path):  # noqa: PTH113 - a named pipe of this name would block
        return None
    try:
        # Python decodes file names that are not UTF-8 with surrogates, so patterns are decoded like that too.
        text = Path(path).read_bytes().decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")
    except OSError:
        return None
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return Rule(real, _compiled(line for line in lines if _is_well_formed(line)))


def rules_above(real: str) -> tuple[Rule, ...]:
    """The rules of the parent folders of a real folder, from the root of its repository downwards.

    Rules that ignore the folder itself are left out, since the caller asked for this folder.
    """
    above = [Path(real), *Path(real).parents]
    depth = next((n for n, folder in enumerate(above) if (folder / ".git").exists()), 0)
    rules = [read_rule(str(folder), str(folder)) for folder in reversed(above[1 : depth + 1])]
    found = tuple(rule for rule in rules if rule is not None)
    return () if is_ignored(real, found, is_folder=True) else found


def is_ignored(real: str, rules: Sequence[Rule], *, is_folder: bool) -> bool:
    """Whether the rules ignore an entry; if several match, the deepest one decides."""
    for rule in reversed(rules):
        ignored = rule.patterns.says(real[len(rule.folder.rstrip("/")) + 1 :], is_folder=is_folder)
        if ignored is not None:
            return ignored
    return False


def _compiled(lines: Iterable[str]) -> Patterns:
    from pathspec import GitIgnoreSpec, PathSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    # In pathspec, "docs/**" also matches the folder docs, so a later "!docs/*.md" would have no effect.
    exact = [f"{line.rstrip()}/*" if line.rstrip().endswith("/**") else line for line in lines]
    # The simple backend, since "best" depends on which packages are installed.
    return Patterns(
        GitIgnoreSpec.from_lines(exact, backend="simple"),
        PathSpec.from_lines(GitIgnoreSpecPattern, exact, backend="simple"),
    )


def _is_well_formed(line: str) -> bool:
    """Whether a line is a valid pattern; git ignores invalid ones."""
    try:
        _compiled([line])
    except ValueError:
        return False
    return True
