"""What was measured on this machine, kept in the user's cache folder."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from crossrank.settings import cache_folder

_FILE = "precision.json"


def remembered(kind: str, key: str) -> Any:
    """What was kept under a key; None if there is nothing, or the file cannot be read."""
    return _content().get(kind, {}).get(key)


def remember(kind: str, key: str, value: Any) -> None:
    """Keep a value that JSON can hold, if the cache folder can be written to.

    The file is replaced as a whole, so a reader never sees half of it. If two processes write at the same
    time, one value may be lost, and is measured again.
    """
    content = _content()
    content.setdefault(kind, {})[key] = value
    with suppress(OSError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{_FILE}.", dir=folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
            Path(name).replace(folder / _FILE)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _content() -> dict[str, dict[str, Any]]:
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads((cache_folder() / _FILE).read_text(encoding="utf-8"))
        if isinstance(content, dict) and all(isinstance(values, dict) for values in content.values()):
            return content
    return {}
