"""Which entries of a folder patterns leave out: ``.gitignore`` files, and patterns that a caller gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec, PathSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from crossrank.errors import InputError


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns in gitignore's syntax, of which the last that matches decides.

    For files, pathspec lets a pattern for folders, which matches all that they hold, yield to one that
    matches the file itself; for folders it must not, or ``!*/`` never brings one back.
    """

    files: GitIgnoreSpec
    folders: PathSpec[GitIgnoreSpecPattern]

    def says(self, relative: str, *, is_folder: bool) -> bool | None:
        """Whether an entry matches; False where ``!`` takes that back, None where no pattern speaks of it."""
        if is_folder:
            return self.folders.check_file(f"{relative}/").include
        return self.files.check_file(relative).include


@dataclass(frozen=True, slots=True)
class Rule:
    """The patterns of one ``.gitignore``, and the real folder that they are relative to."""

    folder: str
    patterns: Patterns


def compile_patterns(patterns: Sequence[str], option: str) -> Patterns | None:
    """Patterns in gitignore's syntax (https://git-scm.com/docs/gitignore), or None where there are none.

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
    """The ``.gitignore`` in a folder, which lies at ``real``; None where there is none that can be read."""
    path = os.path.join(folder, ".gitignore")  # noqa: PTH118
    if not os.path.isfile(path):  # noqa: PTH113 - a named pipe of this name would block
        return None
    try:
        # Names of files that are not UTF-8 are surrogates in Python, and so they are in patterns.
        text = Path(path).read_bytes().decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")
    except OSError:
        return None
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return Rule(real, _compiled(line for line in lines if _is_well_formed(line)))


def rules_above(real: str) -> tuple[Rule, ...]:
    """The rules of the folders above, down from the root of the repository that a real folder lies in.

    A folder that they ignore was named all the same, so they are left out where they do.
    """
    above = [Path(real), *Path(real).parents]
    depth = next((n for n, folder in enumerate(above) if (folder / ".git").exists()), 0)
    rules = [read_rule(str(folder), str(folder)) for folder in reversed(above[1 : depth + 1])]
    found = tuple(rule for rule in rules if rule is not None)
    return () if is_ignored(real, found, is_folder=True) else found


def is_ignored(real: str, rules: Sequence[Rule], *, is_folder: bool) -> bool:
    """Whether the rules leave an entry out; of several that speak about it, the deepest decides."""
    for rule in reversed(rules):
        ignored = rule.patterns.says(real[len(rule.folder.rstrip("/")) + 1 :], is_folder=is_folder)
        if ignored is not None:
            return ignored
    return False


def _compiled(lines: Iterable[str]) -> Patterns:
    # pathspec takes "docs/**" for the folder docs too, and so a later "!docs/*.md" would come too late.
    exact = [f"{line.rstrip()}/*" if line.rstrip().endswith("/**") else line for line in lines]
    # The simple backend, since "best" depends on what else is installed.
    return Patterns(
        GitIgnoreSpec.from_lines(exact, backend="simple"),
        PathSpec.from_lines(GitIgnoreSpecPattern, exact, backend="simple"),
    )


def _is_well_formed(line: str) -> bool:
    """Whether a line is a pattern; git passes over what is none."""
    try:
        _compiled([line])
    except ValueError:
        return False
    return True
