"""JSON: one document per line, or per item of an array."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crossrank.documents import Document
from crossrank.text.naming import own_fields, storable
from crossrank.text.notices import Notify, left_out
from crossrank.text.reading.decoding import text_chunks, text_lines
from crossrank.text.reading.problems import NoTextError, RecordError

_TEXT_FIELDS = ("text", "page_content", "contents")


def read_json_lines(path: Path, name: str, notify: Notify, part_characters: int | None) -> Iterator[Document]:
    """Read the records of a file line by line; a record is always one document, however long."""
    return parse_json_lines(name, text_lines(text_chunks(path, name, notify), name), notify)


def parse_json_lines(name: str, lines: Iterable[str], notify: Notify) -> Iterator[Document]:
    """Yield one document per line; ``notify`` is called for a record without text.

    Raises:
        RecordError: A line is malformed.
        NoTextError: All lines are blank.
    """
    records = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            records += 1
            document = parse_json_line(name, number, line)
            if document.content.strip():
                yield document
            else:
                notify(left_out(f"{name}:{number} holds no text"))
    if not records:
        raise NoTextError(f"{name} holds no text")


def parse_json_line(name: str, number: int, line: str) -> Document:
    """The document of a line.

    Args:
        name: The name of the file, for messages and metadata.
        number: The number of the line.
        line: The line.

    Raises:
        RecordError: It is malformed.
    """
    return record_document(name, f"{name}:{number}", _json(line, f"{name}:{number}", "one object a line"))


def parse_json_array(name: str, text: str, notify: Notify) -> Iterator[Document]:
    """Yield one document per item of an array; ``notify`` is called for an item without text.

    An item is a string, or an object with the same fields as a line.

    Raises:
        RecordError: It is not valid JSON, or an item is malformed.
    """
    for number, item in enumerate(_json(text, name, "an array of strings or objects"), start=1):
        record = {"id": number, "text": item} if isinstance(item, str) else item
        document = record_document(name, f"{name}[{number}]", record)
        if document.content.strip():
            yield document
        else:
            notify(left_out(f"{name}[{number}] holds no text"))


def _json(text: str, place: str, form: str) -> Any:
    try:
        return storable(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{place} is not valid JSON ({error}); write {form}") from error


def record_document(name: str, place: str, record: Any) -> Document:
    """The document of a record: ``text``, ``title``, ``id`` (or ``_id``) and ``metadata``, as JSON has them.

    Args:
        name: The name of the file, for the metadata.
        place: Where the record is, for messages; also the id of a record that has none.
        record: The record; it is changed.

    Raises:
        RecordError: It is malformed.
    """
    if not isinstance(record, dict):
        raise RecordError(f'{place} must be a JSON object such as {{"text": "..."}}; it is {record!r:.80}')
    text = next((record.pop(field) for field in _TEXT_FIELDS if field in record), None)
    if not isinstance(text, str):
        raise RecordError(
            f"{place} needs a string in 'text' (or 'page_content', 'contents'); it is {record!r:.80}"
        )
    title, metadata = record.pop("title", None) or "", record.pop("metadata", None) or {}
    if not isinstance(title, str) or not isinstance(metadata, dict):
        raise RecordError(
            f"{place} needs a string in 'title' and an object in 'metadata'; it is {record!r:.80}"
        )
    names = [record.pop(field, None) for field in ("id", "_id")]
    given = next((str(value) for value in names if value not in (None, "")), place)
    return Document(
        id=given, text=text, title=title, metadata={"source": name, **own_fields({**record, **metadata})}
    )
