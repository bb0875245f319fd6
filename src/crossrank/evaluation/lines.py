"""Text files line by line, local or at an address, with errors that say which line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TypeAlias, cast

from crossrank.errors import InputError, file_error

OnBadLine: TypeAlias = Callable[[InputError], object]
"""Called with the error for a line that cannot be used; the line is then skipped."""


_COMPRESSED: dict[str, Callable[..., object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def refuse(error: InputError) -> None:
    """Raise the error of a bad line: what happens to bad lines by default."""
    raise error


def numbered_lines(path: Path | str, on_bad_line: OnBadLine = refuse) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their 1-based numbers; blank ones are skipped.

    Args:
        path: A file, or an address that fsspec reads, such as ``s3://bucket/corpus.jsonl.gz``. Compressed
            files are recognised by their ending.
        on_bad_line: Called for a line that is not UTF-8.

    Raises:
        InputError: The file cannot be opened, or a line is not UTF-8 and ``on_bad_line`` raises.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "lines.txt")
        ...     _ = path.write_text("first\\n\\nthird\\n")
        ...     list(numbered_lines(path))
        [(1, 'first'), (3, 'third')]
    """
    try:
        with open_address(path) as file:
            for number, raw in enumerate(file, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    on_bad_line(line_error(path, number, "is not UTF-8; save the file as UTF-8 text"))
                    continue
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise file_error(f"{path} cannot be read: {reason}. Give the path of a text file.", error) from error


def open_address(path: Path | str) -> AbstractContextManager[IO[bytes]]:
    """Open a local file or an address for reading, decompressed.

    Raises:
        InputError: The address needs a package that is not installed, or fsspec does not know its kind.
        OSError: There is no such file, or it cannot be opened.
    """
    if "://" not in str(path):
        opened = _COMPRESSED.get(Path(path).suffix.lower(), open)
        return cast("IO[bytes]", opened(path, "rb"))
    import fsspec

    try:
        return cast("AbstractContextManager[IO[bytes]]", fsspec.open(str(path), "rb", compression="infer"))
    except (ImportError, ValueError) as error:
        raise InputError(f"{path} cannot be opened: {error}") from error


def line_error(path: Path | str, number: int, what: str) -> InputError:
    """The error for one line, as ``file:line: what``, which editors turn into a link."""
    return InputError(f"{path}:{number}: {what}")
