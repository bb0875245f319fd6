"""Names of files in ids, metadata and messages."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
# The metadata that locates a passage: its file, and its character offsets.
_PLACE = frozenset({"file", "start", "end"})


def printable(path: Path) -> str:
    """The path as given, printable even if it is not valid UTF-8."""
    return without_surrogates(path.as_posix())


def without_surrogates(text: str) -> str:
    """Replace code points that UTF-8 cannot encode with U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def own_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """A record's fields; those with the names of location metadata are renamed.

    Example:
        >>> own_fields({"start": "09:00", "year": 2021})
        {'start_': '09:00', 'year': 2021}
    """
    return {f"{name}_" if name in _PLACE else name: value for name, value in fields.items()}


def storable(value: Any) -> Any:
    """Convert a value read from JSON or YAML to one that is valid in every JSON file.

    NaN and infinity become None: Python and pandas write them, but JSON does not have them. Lone surrogates,
    which JSON can escape but UTF-8 cannot encode, become U+FFFD.

    Example:
        >>> storable({"price": float("nan"), "name": "\\ud800"})
        {'price': None, 'name': '�'}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value
