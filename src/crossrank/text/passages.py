"""Read passages that a first stage has already chosen: one per line, or as a JSON array."""

from __future__ import annotations

import re
from pathlib import Path

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text.notices import ignore
from crossrank.text.reading.decoding import decode_text, read_bytes
from crossrank.text.reading.json_lines import parse_json_array, parse_json_lines

# The beginning of a JSON array of passages. "[1] Smith" is plain text.
_ARRAY = re.compile(r'\s*\[\s*[{"\]]')


def read_passages(source: Path | bytes) -> list[Document]:
    """Read passages from a JSON array, JSON Lines, or plain text; the format is detected.

    Args:
        source: A file, or the bytes read from standard input.

    Returns:
        The passages in order. The id of a plain line, or of a string in an array, is its number, from 1;
        blank ones are skipped.

    Raises:
        InputError: The file cannot be read, is not text, has no passage, or its JSON is malformed.

    Example:
        >>> [passage.id for passage in read_passages(b"first passage\\n\\nsecond passage\\n")]
        ['1', '3']
    """
    name = "standard input" if isinstance(source, bytes) else source.as_posix()
    data = source if isinstance(source, bytes) else read_bytes(source)
    if b"\0" in data:
        raise InputError(f"{name} is not text (it holds NUL bytes); give UTF-8 text or JSON Lines")
    text, _ = decode_text(data)
    if _ARRAY.match(text):
        passages = list(parse_json_array(name, text, ignore))
    elif text.lstrip().startswith("{"):
        passages = list(parse_json_lines(name, text.split("\n"), ignore))
    else:
        lines = enumerate(text.split("\n"), start=1)
        passages = [Document(id=str(number), text=line.strip()) for number, line in lines if line.strip()]
    if not passages:
        raise InputError(
            f"{name} holds no passage; write one a line, one JSON object with 'text' a line, or a JSON array"
        )
    return passages
