"""Decode bytes to text: UTF-8, normalised line ends, and a notice about invalid bytes."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from crossrank.errors import InputError, file_error
from crossrank.text.naming import printable
from crossrank.text.notices import Notice, Notify, repaired

_SNIFFED_BYTES = 8192
_CHUNK_BYTES = 1 << 20
_LONGEST_LINE = 100_000_000


def read_bytes(path: Path) -> bytes:
    """Read a text file as bytes.

    Raises:
        InputError: It cannot be read, or there are NUL bytes at its beginning.
    """
    name = printable(path)
    try:
        with path.open("rb") as file:
            data = file.read(_SNIFFED_BYTES)
            refuse_binary(data, name)
            return data + file.read()
    except OSError as error:
        raise file_error(f"{name} cannot be read: {error.strerror}", error) from error


def refuse_binary(data: bytes, name: str) -> None:
    """Raise InputError if the beginning of a file is not text."""
    if b"\0" in data[:_SNIFFED_BYTES]:
        raise InputError(f"{name} is not text (it holds NUL bytes); save it as UTF-8 text")


def decode_text(data: bytes) -> tuple[str, bool]:
    """Decode UTF-8 with normalised line ends, and whether it was valid; invalid bytes become U+FFFD."""
    notices: list[Notice] = []
    return "".join(decode_chunks([data], "", notices.append)), not notices


def text_chunks(path: Path, name: str, notify: Notify) -> Iterator[str]:
    """Read the text of a file, one megabyte at a time.

    Raises:
        OSError: It cannot be read.
        InputError: There are NUL bytes at its beginning.
    """
    with path.open("rb") as file:
        first = file.read(_CHUNK_BYTES)
        refuse_binary(first, name)
        rest = iter(lambda: file.read(_CHUNK_BYTES), b"")
        yield from decode_chunks(chain([first], rest), name, notify)


def decode_chunks(chunks: Iterable[bytes], name: str, notify: Notify) -> Iterator[str]:
    """Decode UTF-8 in chunks; ``notify`` is called at most once, if there are invalid bytes."""
    # Not "utf-8-sig", which ignores a file that ends within a byte order mark.
    decoder = codecs.getincrementaldecoder("utf-8")()
    at_start = True
    line_ends = io.IncrementalNewlineDecoder(None, translate=True)
    steps: Iterator[tuple[bytes, bool]] = chain(((chunk, False) for chunk in chunks), [(b"", True)])
    for data, final in steps:
        before = decoder.getstate()
        try:
            text = decoder.decode(data, final)
        except UnicodeDecodeError:
            notify(repaired(name, "UTF-8"))
            decoder.errors = "replace"
            decoder.setstate(before)
            text = decoder.decode(data, final)
        if at_start and text:
            text, at_start = text.removeprefix("\ufeff"), False
        if text := line_ends.decode(text, final):
            yield text


def text_lines(chunks: Iterable[str], name: str) -> Iterator[str]:
    """Split a text in chunks into lines, without line ends; only a line feed ends a line.

    Raises:
        InputError: A line is too long to be a record.
    """
    number, pieces, length = 1, [""], 0
    for chunk in chunks:
        first, *others = chunk.split("\n")
        pieces.append(first)
        length += len(first)
        if length > _LONGEST_LINE:
            raise InputError(f"{name}:{number} is longer than {_LONGEST_LINE} characters; break the line")
        if others:
            yield "".join(pieces)
            yield from others[:-1]
            number, pieces, length = number + len(others), [others[-1]], len(others[-1])
    yield "".join(pieces)
