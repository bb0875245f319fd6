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
    """Read the text after the front matter; ``title`` becomes the title, and other fields become metadata.

    If there is front matter, ``start`` in the metadata is the offset of the text after it in the file.
    """
    chunks = text_chunks(path, name, notify)
    text = next(chunks, "")
    fields, start = _front_matter(text)
    title = fields.pop("title") if isinstance(fields.get("title"), str) else ""
    rest = chain([text[start:]], chunks)
    yield from text_documents(rest, name, part_characters, title=title, metadata=fields, start=start)


def _front_matter(text: str) -> tuple[dict[str, Any], int]:
    """The fields of the front matter and its length; no fields and 0 if there is none, or it is malformed."""
    block = _BLOCK.match(text, 0, _LONGEST)
    if block is None:
        return {}, 0
    # Imported here because it is slow, and most files have no front matter.
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses aliases, since a few lines with aliases can expand to gigabytes."""

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
    # ValueError: an invalid date or number. TypeError: a list as a key.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return {}, 0
    return own_fields(plain), block.end()


def _plain(value: Any) -> Any:
    """Convert a YAML value to JSON."""
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float) else str(value)
