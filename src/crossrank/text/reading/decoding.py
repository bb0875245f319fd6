"""Bytes to text: UTF-8, plain line ends, and a notice of what was not UTF-8."""

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
    """The content of a file that looks like text.

    Raises:
        InputError: It cannot be read, or its beginning holds NUL bytes.
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
    """Raise InputError where the beginning of a file is no text."""
    if b"\0" in data[:_SNIFFED_BYTES]:
        raise InputError(f"{name} is not text (it holds NUL bytes); save it as UTF-8 text")


def decode_text(data: bytes) -> tuple[str, bool]:
    """UTF-8 bytes to text with plain line ends, and whether all was UTF-8; what is not becomes U+FFFD."""
    notices: list[Notice] = []
    return "".join(decode_chunks([data], "", notices.append)), not notices


def text_chunks(path: Path, name: str, notify: Notify) -> Iterator[str]:
    """The text of a file, a megabyte at a time.

    Raises:
        OSError: It cannot be read.
        InputError: Its beginning holds NUL bytes.
    """
    with path.open("rb") as file:
        first = file.read(_CHUNK_BYTES)
        refuse_binary(first, name)
        rest = iter(lambda: file.read(_CHUNK_BYTES), b"")
        yield from decode_chunks(chain([first], rest), name, notify)


def decode_chunks(chunks: Iterable[bytes], name: str, notify: Notify) -> Iterator[str]:
    """Decode UTF-8 that comes in pieces cut anywhere; ``notify`` hears once of bytes that are not UTF-8."""
    # Not "utf-8-sig": it says nothing of a file that ends within a byte order mark.
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
    """The lines of a text that comes in pieces, without their ends; only a line feed ends a line.

    Raises:
        InputError: A line is so long that this cannot be what it was meant to be.
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
