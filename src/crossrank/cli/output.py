"""Output of the commands: JSON, lines, and progress bars. Text on the screen is in ``screen.py``."""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from crossrank.documents import Ranking
    from crossrank.inference.score_cache import ScoreCache

# What moves the cursor, changes colours, or turns the direction of writing: control characters, the
# separators of lines and paragraphs, and Unicode's marks of direction. Also the halves of a character that
# no stream can carry.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def print_json(value: Mapping[str, Any], *, indent: int | None = None) -> None:
    """Print a JSON document; characters that are unsafe or not in the output's encoding are escaped."""
    is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
    text = json.dumps(value, ensure_ascii=not is_utf8, allow_nan=False, indent=indent)
    print(_UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text))


def print_ranking(ranking: Ranking, *, as_json: bool) -> None:
    """Print a ranking as JSON, or as text."""
    if as_json:
        print_json(ranking.to_dict())
        return
    from crossrank.cli.screen import show_ranking

    show_ranking(ranking)


def print_line(line: str) -> None:
    """Print a line to standard output."""
    print(printable(line))


def notify(message: str) -> None:
    """Print a line to standard error."""
    print(f"crossrank: {printable(message)}", file=sys.stderr)


def notify_of_cache(cache: ScoreCache | None) -> None:
    """Print to standard error how many scores came from the cache, if there is one."""
    if cache is not None and cache.hit_rate is not None:
        asked = cache.hits + cache.misses
        notify(f"score cache: {cache.hits:,} of {asked:,} scores were known ({cache.hit_rate:.0%})")


class Bar:
    """A progress bar: calling it advances it; ``update`` sets the amount done and the total."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def __call__(self, done: int) -> None:
        """Advance by this amount."""
        self._progress.advance(self._task, done)

    def update(self, done: int, total: int) -> None:
        """Set the amount done and the total."""
        self._progress.update(self._task, completed=done, total=total)


class Bars:
    """Progress bars, one for each task; calling it sets the amount done and the total.

    Args:
        progress: rich's; None where nothing is shown.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    @property
    def shown(self) -> bool:
        """Whether anybody sees them."""
        return self._progress is not None

    def __call__(self, task: str, done: int, total: int) -> None:
        """Show how much of a task is done; a total of 0 is not known."""
        if self._progress is not None:
            self._progress.update(self._task(self._progress, task), completed=done, total=total or None)

    def describe(self, task: str, text: str) -> None:
        """Show another text for a task."""
        if self._progress is not None:
            self._progress.update(self._task(self._progress, task), description=text)

    def print(self, line: str) -> None:
        """Print a line to standard error, above the bars."""
        if self._progress is not None:
            self._progress.console.print(line)
        else:
            notify(line)

    def _task(self, progress: Progress, task: str) -> TaskID:
        if task not in self._tasks:
            self._tasks[task] = progress.add_task(task, total=None)
        return self._tasks[task]


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Bar | None]:
    """Show a progress bar on standard error, if that is a terminal."""
    with _progress() as progress:
        yield None if progress is None else Bar(progress, progress.add_task(description, total=total))


@contextmanager
def progress_bars(*, stay: bool = False) -> Iterator[Bars]:
    """Show a progress bar for each task, on standard error if that is a terminal.

    Args:
        stay: Whether the bars are still there when all is done.
    """
    with _progress(stay=stay) as progress:
        yield Bars(progress)


@contextmanager
def _progress(*, stay: bool = False) -> Iterator[Progress | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=not stay) as progress:
        yield progress


def printable(text: str, keep: str = "") -> str:
    """Escape control characters in a name or document, which could move the cursor or change colours."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else " ", text)
