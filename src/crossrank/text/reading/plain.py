"""Plain text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crossrank.documents import Document
from crossrank.text.notices import Notify
from crossrank.text.reading.decoding import text_chunks
from crossrank.text.reading.parts import text_documents


def read_plain(path: Path, name: str, notify: Notify, part_characters: int | None) -> Iterator[Document]:
    """Read the text unchanged."""
    return text_documents(text_chunks(path, name, notify), name, part_characters)
