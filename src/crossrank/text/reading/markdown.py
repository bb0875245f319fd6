"""Markdown: text, with YAML front matter as metadata."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from crossrank.documents import Document
from crossrank.text.naming import own_fields, storable
from crossrank.text.notices import Notify
from crossrank.text.reading.decoding import text_chunks
from crossrank.text.reading.parts import text_documents

# Real front matter is short; YAML takes seconds for a megabyte.
_LONGEST = 65_536
_BLOCK = re.compile(r"---[ \t]*\n(?P<yaml>.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def read_markdown(path: Path, name: str, notify: Notify, part_characters: int | None) -> Iterator[Document]:
    """The text after the front matter, whose ``title`` is the document's and whose rest is metadata.

    Where there is front matter, ``start`` in the metadata says where the text after it begins in the file.
    """
    chunks = text_chunks(path, name, notify)
    text = next(chunks, "")
    fields, start = _front_matter(text)
    title = fields.pop("title") if isinstance(fields.get("title"), str) else ""
    rest = chain([text[start:]], chunks)
    yield from text_documents(rest, name, part_characters, title=title, metadata=fields, start=start)


def _front_matter(text: str) -> tuple[dict[str, Any], int]:
    """Its fields and where it ends; no fields and 0 where there is none, or it is malformed."""
    block = _BLOCK.match(text, 0, _LONGEST)
    if block is None:
        return {}, 0
    # Imported here since it takes a while, and most files have no front matter.
    import yaml

    class Loader(yaml.SafeLoader):
        """Without aliases, by which a few lines can stand for gigabytes."""

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not read")
            return super().compose_node(parent, index)

    try:
        fields = yaml.load(block["yaml"], Loader)
        if not isinstance(fields, dict):
            return {}, 0
        plain = storable(_plain(fields))
        json.dumps(plain, allow_nan=False)
    # ValueError: a date or a number that there is none of. TypeError: a list as a key.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return {}, 0
    return own_fields(plain), block.end()


def _plain(value: Any) -> Any:
    """A YAML value as JSON has it."""
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float) else str(value)
