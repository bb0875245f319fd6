"""Detect damage in an index: rows of the wrong type or without their counterpart, and altered vectors."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator

_TABLES = ("setting", "source", "removed", "file", "found", "document", "passage", "vector", "part")
# Conditions that every row must meet, in addition to the declared types. They use CASE, since reading
# malformed JSON raises an error.
_LIST_OF_TEXTS = (
    "CASE WHEN json_valid({0}) AND json_type({0}) = 'array' "
    "THEN NOT EXISTS (SELECT 1 FROM json_each({0}) WHERE type <> 'text') END"
)
_TRUE = {
    "document": "CASE WHEN json_valid(metadata) THEN json_type(metadata) = 'object' END",
    "source": " AND ".join(_LIST_OF_TEXTS.format(column) for column in ("include", "exclude")),
    "setting": "CASE WHEN name = 'dimension' "
    "THEN value * 4 IN (SELECT length(value) FROM vector) OR NOT EXISTS (SELECT 1 FROM vector) "
    "WHEN name IN ('generation', 'chunk_size', 'chunk_overlap') "
    "THEN value <> '' AND value NOT GLOB '*[^0-9]*' ELSE 1 END",
    "passage": "id IN (SELECT passage FROM vector)",
}
_SETTINGS = {"generation", "epoch", "embedder", "similarity", "dimension", "chunk_size", "chunk_overlap"}


def checksum(value: bytes) -> int:
    """The checksum that is stored with a vector to detect damage."""
    return zlib.crc32(value)


def damaged_rows(database: sqlite3.Connection) -> str | None:
    """Describe the first damaged row; None if there is none.

    The values of vectors are checked by :func:`damaged_vectors`, since they can be computed again.
    """
    return next(_damaged_rows(database), None)


def _damaged_rows(database: sqlite3.Connection) -> Iterator[str]:
    for table in _TABLES:
        for _, name, kind, required, _, key in database.execute(f"PRAGMA table_info({table})").fetchall():
            kinds = (kind.lower(), *(() if required or key else ("null",)))
            if (table, name) not in {("vector", "value"), ("vector", "checksum")}:
                yield from _rows_where_not(database, table, f"typeof({name}) IN {_listed(kinds)}")
        if table in _TRUE:
            yield from _rows_where_not(database, table, _TRUE[table])
    for table, row, other, _ in database.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} belongs to no {other}"
    missing = _SETTINGS - {row[0] for row in database.execute("SELECT name FROM setting")}
    yield from (f"the setting {name} is missing" for name in sorted(missing))


def _rows_where_not(database: sqlite3.Connection, table: str, truth: str) -> Iterator[str]:
    (count,) = database.execute(f"SELECT count(*) FROM {table} WHERE ({truth}) IS NOT TRUE").fetchone()
    if count:
        yield f"{count} rows of {table} are not as they were written"


def _listed(kinds: tuple[str, ...]) -> str:
    return "({})".format(", ".join(f"'{kind}'" for kind in kinds))


def damaged_vectors(database: sqlite3.Connection) -> int:
    """The number of vectors whose bytes were altered."""
    rows = database.execute("SELECT value, checksum FROM vector")
    return sum(not isinstance(value, bytes) or checksum(value) != kept for value, kept in rows)
