"""Search in an index: words, vectors, and the documents."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import Document
from crossrank.index.filters import Condition, as_sql
from crossrank.index.passages import ROW, document_of
from crossrank.index.store import Store, setting
from crossrank.index.vectors import Ids, Vectors, read_vectors, search, stored_vectors
from crossrank.inference.vectors import prepared, similarities
from crossrank.retrieval.base import Scored
from crossrank.retrieval.bm25 import best_by_words, scores_by_words
from crossrank.retrieval.hybrid import Passages


class VectorCache:
    """Caches the vectors of the newest generation for all threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._vectors: Vectors | None = None

    def get(self, database: sqlite3.Connection) -> Vectors:
        """The vectors of the generation that this transaction sees."""
        wanted = setting(database, "epoch"), int(setting(database, "generation"))
        kept = self._vectors
        if kept is not None and (kept.epoch, kept.generation) == wanted:
            return kept
        with self._lock:
            kept = self._vectors
            if kept is None or (kept.epoch, kept.generation) != wanted:
                self._vectors = kept = read_vectors(self._store.folder, database, kept)
            return kept


def passages_of(
    database: sqlite3.Connection, vectors: Vectors | None, conditions: Sequence[Condition]
) -> Passages:
    """The passages that one transaction sees, for a search.

    Args:
        database: A connection in a transaction.
        vectors: The vectors of the same generation; None to search by words only.
        conditions: Only passages whose documents match these are considered.
    """
    return Passages(
        _Words(database, conditions),
        None if vectors is None else _Vectors(database, vectors, conditions),
        partial(_documents, database),
        partial(_in_order, database),
    )


@dataclass(frozen=True, slots=True)
class _Words:
    database: sqlite3.Connection
    conditions: Sequence[Condition]

    def search(self, query: str, k: int) -> list[Scored]:
        if not self.conditions:
            return best_by_words(self.database, query, k)
        where, parameters = _where(self.conditions)
        # CROSS JOIN prevents SQLite from scanning all documents first.
        joined = (
            "CROSS JOIN passage ON passage.id = words.rowid "
            "CROSS JOIN document ON document.id = passage.document"
        )
        return best_by_words(self.database, query, k, joined=joined, where=where, parameters=parameters)

    def scores(self, query: str, passages: Sequence[int]) -> dict[int, float]:
        return scores_by_words(self.database, query, passages)


@dataclass(frozen=True, slots=True)
class _Vectors:
    database: sqlite3.Connection
    vectors: Vectors
    conditions: Sequence[Condition]

    def search(self, vector: NDArray[np.float32], k: int) -> list[Scored]:
        allowed = _allowed(self.database, self.conditions)
        found = search(self.database, self.vectors, vector, k, allowed)
        return [Scored(*one) for one in zip(found.ids.tolist(), found.scores.tolist(), strict=True)]

    def similarities(self, vector: NDArray[np.float32], passages: Sequence[int]) -> dict[int, float]:
        if not passages:
            return {}
        ids, similarity = sorted(passages), self.vectors.similarity
        # Read from SQLite, since the FAISS file may lack some vectors.
        rows = prepared(stored_vectors(self.database, np.array(ids, np.int64)), similarity)
        query = prepared(vector[np.newaxis], similarity)[0]
        return dict(zip(ids, similarities(rows, query, similarity), strict=True))


def _allowed(database: sqlite3.Connection, conditions: Sequence[Condition]) -> Ids | None:
    """The ids of passages whose documents match the conditions; None if there are no conditions."""
    if not conditions:
        return None
    where, parameters = _where(conditions)
    rows = database.execute(
        f"SELECT passage.id FROM document JOIN passage ON passage.document = document.id WHERE {where}",
        parameters,
    )
    return np.array([row[0] for row in rows], np.int64)


def _where(conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    parts = [as_sql(condition) for condition in conditions]
    return " AND ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]


def _in_order(database: sqlite3.Connection, ids: Iterable[int]) -> list[int]:
    """Sort passages by file, document and number, so that ties do not depend on the order of insertion."""
    rows = database.execute(
        "SELECT passage.id FROM passage JOIN document ON document.id = passage.document "
        "JOIN file ON file.id = document.file WHERE passage.id IN (SELECT value FROM json_each(?)) "
        "ORDER BY path, name, number",
        (json.dumps(list(ids)),),
    )
    return [row[0] for row in rows]


def _documents(database: sqlite3.Connection, ids: Sequence[int]) -> list[Document]:
    """The passages of these ids, in the same order."""
    rows = database.execute(
        f"SELECT {ROW} FROM passage "
        "JOIN document ON document.id = passage.document JOIN file ON file.id = document.file "
        "WHERE passage.id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
    found = {row[0]: document_of(row) for row in rows}
    return [found[passage] for passage in ids]
