"""Passages that a first stage has already chosen, one a line."""

from __future__ import annotations

from pathlib import Path

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text.notices import ignore
from crossrank.text.reading.decoding import decode_text, read_bytes
from crossrank.text.reading.json_lines import parse_json_lines


def read_passages(source: Path | bytes) -> list[Document]:
    """Read one passage a line: JSON Lines where the first line is an object, else plain text.

    Args:
        source: A file, or what was read from standard input.

    Returns:
        The passages in order. A plain line is named by its number, from 1; blank lines are passed over.

    Raises:
        InputError: The file cannot be read, is not text, holds no passage, or a JSON line is malformed.

    Example:
        >>> [passage.id for passage in read_passages(b"first passage\\n\\nsecond passage\\n")]
        ['1', '3']
    """
    name = "standard input" if isinstance(source, bytes) else source.as_posix()
    data = source if isinstance(source, bytes) else read_bytes(source)
    if b"\0" in data:
        raise InputError(f"{name} is not text (it holds NUL bytes); give UTF-8 text or JSON Lines")
    text, _ = decode_text(data)
    if text.lstrip().startswith("{"):
        passages = list(parse_json_lines(name, text.split("\n"), ignore))
    else:
        lines = enumerate(text.split("\n"), start=1)
        passages = [Document(id=str(number), text=line.strip()) for number, line in lines if line.strip()]
    if not passages:
        raise InputError(f"{name} holds no passage; write one a line, or one JSON object with 'text' a line")
    return passages
