"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under another name, and give it its own when the block ends.

    A reader sees the old file or the new one, also after a crash or a loss of power. If the block raises,
    the old file stays.

    Args:
        path: The file.

    Yields:
        The path to write to, in the same folder.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "settings.json")
        ...     with replacing(file) as unfinished:
        ...         _ = unfinished.write_text("{}")
        ...     file.read_text()
        '{}'
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield unfinished
        with unfinished.open("r+b") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
