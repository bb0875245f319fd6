"""What files are called in ids, metadata and messages."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
# What a passage says of its place: the file, and the first and last character there.
_PLACE = frozenset({"file", "start", "end"})


def printable(path: Path) -> str:
    """The path as given, fit for printing whatever bytes the file system holds."""
    return without_surrogates(path.as_posix())


def without_surrogates(text: str) -> str:
    """A text with U+FFFD for the code points that no UTF-8 file can hold."""
    return _SURROGATE.sub("\ufffd", text)


def own_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """A record's own fields, those renamed that would pass for what passages say of their place.

    Example:
        >>> own_fields({"start": "09:00", "year": 2021})
        {'start_': '09:00', 'year': 2021}
    """
    return {f"{name}_" if name in _PLACE else name: value for name, value in fields.items()}


def storable(value: Any) -> Any:
    """A value of JSON or YAML as every JSON file can hold it.

    Numbers that are not finite become None: Python and pandas write them, and JSON has none. Lone surrogates,
    which JSON can escape and UTF-8 cannot hold, become U+FFFD.

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
