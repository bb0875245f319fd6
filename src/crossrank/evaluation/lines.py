"""Text files line by line, with errors that say which line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crossrank.errors import InputError, file_error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their 1-based numbers; blank ones are skipped.

    Raises:
        InputError: The file cannot be opened, or a line is not UTF-8.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "lines.txt")
        ...     _ = path.write_text("first\\n\\nthird\\n")
        ...     list(numbered_lines(path))
        [(1, 'first'), (3, 'third')]
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise line_error(path, number, "is not UTF-8; save the file as UTF-8 text") from error
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except OSError as error:
        reason = error.strerror or error
        raise file_error(f"{path} cannot be read: {reason}. Give the path of a text file.", error) from error


def line_error(path: Path, number: int, what: str) -> InputError:
    """The error for one line, as ``file:line: what``, which editors turn into a link."""
    return InputError(f"{path}:{number}: {what}")
