"""The snippets of a page of Markdown: found, and run one after the other as a reader would.

Blocks of Python share their names. Lines of a shell run one after the other in a folder; what follows a line
after ``$`` is what it prints. A block with ``title="NAME"`` is also written to the file NAME.

What needs more than this package, its extras and the files of the folder comes after a comment ``# Needs``,
in a block of Python at its beginning, and is only parsed. So are commands that run until they are stopped.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crossrank.cli.main import _run

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
NEEDS = re.compile("# Needs ")
# An indented block is shell if it begins with one of these.
COMMANDS = (
    "crossrank",
    "pip",
    "python",
    "make",
    "curl",
    "docker",
    "mkdir",
    "source",
    "claude",
    "codex",
    "# Needs",
)
UNTIL_STOPPED = ("serve", "mcp")
# As far as processors agree on a score, and on how many questions became better.
TOLERANCE, COUNTS = 0.2, 3
_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}\S.*\n)(?:(?: {4}.*)?\n)*")
_NUMBER = re.compile(r"[-+]?\d+\.\d+")


@dataclass
class Snippet:
    """A block of code.

    Attributes:
        language: What follows the fence; ``sh`` for an indented block of commands.
        text: The code.
        title: The file that it is.
        line: Where it begins, from 1.
    """

    language: str
    text: str
    title: str | None
    line: int


def snippets(page: Path) -> list[Snippet]:
    """All blocks of code of a page, in its order."""
    markdown = page.read_text(encoding="utf-8")
    found = [
        Snippet(match[1], match[3], match[2], _line(markdown, match)) for match in _FENCE.finditer(markdown)
    ]
    rest = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), markdown)
    for match in _INDENTED.finditer(rest):
        text = re.sub(r"^ {4}", "", match[0], flags=re.MULTILINE)
        if text.startswith(COMMANDS):
            found.append(Snippet("sh", text, None, _line(rest, match)))
    return sorted(found, key=lambda snippet: snippet.line)


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


class Reader:
    """Runs the snippets of one page in the current folder."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}

    def run(self, snippet: Snippet) -> None:
        """Run it, or parse it if it cannot run here; an exception says what is wrong."""
        if snippet.title:
            Path(snippet.title).write_text(snippet.text, encoding="utf-8")
        parse = {"json": parse_json, "toml": tomllib.loads, "yaml": yaml.safe_load}
        if snippet.language == "python":
            self.python(snippet)
        elif snippet.language == "sh":
            self.shell(snippet.text)
        elif snippet.language == "console":
            self.console(snippet.text)
        elif snippet.language:
            parse[snippet.language](snippet.text)

    def python(self, snippet: Snippet) -> None:
        """A session with ``>>>``, or a program."""
        if ">>> " in snippet.text:
            test = doctest.DocTestParser().get_doctest(
                snippet.text, self.names, "snippet", None, snippet.line
            )
            test.globs = self.names
            failures: list[str] = []
            doctest.DocTestRunner().run(test, out=failures.append, clear_globs=False)
            assert not failures, "".join(failures)
        elif NEEDS.match(snippet.text) or snippet.title:
            ast.parse(snippet.text)
        else:
            exec(compile(snippet.text, "snippet", "exec"), self.names)

    def shell(self, text: str) -> None:
        """Commands, a line each; the rest of a line after # is a comment."""
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        runs = True
        for line in text.replace("\\\n", " ").splitlines():
            runs = runs and not NEEDS.match(line)
            for part in line.split(" && "):
                if words := shlex.split(part, comments=True):
                    self.command(words, runs=runs)

    def console(self, text: str) -> None:
        """Commands after ``$``, with what they print."""
        for block in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = block.partition("\n")
            compare(self.command(shlex.split(command), runs=True), expected)

    def command(self, words: list[str], *, runs: bool) -> str:
        """Run one command, or check what it names.

        Returns:
            What it printed.
        """
        program, arguments = words[0], words[1:]
        if program == "crossrank":
            runs = runs and arguments[0] not in UNTIL_STOPPED
            return crossrank(*arguments, *([] if runs else ["--help"]))
        if program == "pip":
            for extra in re.findall(r"crossrank\[([\w,-]+)\]", " ".join(arguments)):
                assert set(extra.split(",")) <= set(PROJECT["optional-dependencies"]), extra
        elif program == "make":
            assert set(arguments) <= TARGETS, arguments
        elif program == "source":
            assert arguments == [".venv/bin/activate"], arguments
        elif program == "python" and _is_in_repository(*arguments[:2]):
            pass  # measures for minutes, or writes the documentation
        elif runs:
            command = [sys.executable, *arguments] if program == "python" else words
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=_environment())
            assert not done.returncode, f"{shlex.join(words)}: {done.stderr}"
            return done.stdout
        return ""


def _is_in_repository(first: str, second: str = "") -> bool:
    """Whether a program is one of this repository: ``benchmarks/effort.py``, ``-m benchmarks.effort``."""
    path = ROOT / (second.replace(".", "/") if first == "-m" else first)
    return path.is_file() or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def _environment() -> dict[str, str]:
    """A program that is written to the folder imports this package."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def crossrank(*arguments: str) -> str:
    """Run ``crossrank`` in this process, which has imported everything already.

    Returns:
        What it printed.
    """
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    errors = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        code = _run(list(arguments))
    assert not code, f"crossrank {shlex.join(arguments)}: {errors.getvalue()}"
    printed.seek(0)
    return printed.read()


def compare(printed: str, expected: str) -> None:
    """Compare what was printed with what the page shows: ``...`` is anything, numbers may differ a little."""
    pattern = "".join(_patterns(_stripped(expected)))
    found = re.fullmatch(pattern, _stripped(printed), re.DOTALL)
    assert found, f"printed:\n{printed}\nexpected:\n{expected}"
    for shown, got in zip(_shown(expected), found.groups(), strict=True):
        allowed = TOLERANCE if "." in shown else COUNTS
        assert abs(float(shown) - float(got)) <= allowed, f"{got}, but the page says {shown}:\n{printed}"


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _patterns(expected: str) -> Iterator[str]:
    for line in expected.splitlines(keepends=True):
        number = r"[-+]?\d+\.\d+|\d+(?= / |  +│)| / \d+" if line.startswith("│") else _NUMBER.pattern
        place = 0
        for match in re.finditer(rf"\.\.\.|{number}", line):
            yield re.escape(line[place : match.start()])
            yield ".*?" if match[0] == "..." else _group(match[0])
            place = match.end()
        yield re.escape(line[place:])


def _group(number: str) -> str:
    if number.startswith(" / "):
        return r" / (\d+)"
    return r"([-+]?\d+\.\d+)" if "." in number else r"(\d+)"


def _shown(expected: str) -> list[str]:
    """The numbers of a page's output, in its order."""
    pattern = "".join(_patterns(_stripped(expected)))
    found = re.fullmatch(pattern, _stripped(expected), re.DOTALL)
    assert found is not None
    return list(found.groups())


def parse_json(text: str) -> None:
    """One value, one a line, or the members of an object."""
    for attempt in (text, f"{{{text}}}"):
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(attempt)  # type: ignore[no-any-return]
    for line in text.splitlines():
        json.loads(line)
    return None
