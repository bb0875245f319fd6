"""The first stage over an index: candidates by words, by vectors, or by both."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import Document
from crossrank.index.filters import Condition
from crossrank.index.store import Store, setting
from crossrank.index.vectors import Found, Ids, Vectors, read_vectors, stored_vectors
from crossrank.retrieval.base import Candidate
from crossrank.retrieval.dense import nearest, prepared
from crossrank.retrieval.first_stage import FUSED_DEPTH
from crossrank.retrieval.fusion import reciprocal_rank_fusion
from crossrank.retrieval.words import match_expression


class VectorCache:
    """The vectors of the newest generation that was asked for, read once for all threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._vectors: Vectors | None = None

    def get(self, database: sqlite3.Connection) -> Vectors:
        """The vectors that belong to what this transaction sees."""
        wanted = setting(database, "epoch"), int(setting(database, "generation"))
        kept = self._vectors
        if kept is not None and (kept.epoch, kept.generation) == wanted:
            return kept
        with self._lock:
            kept = self._vectors
            if kept is None or (kept.epoch, kept.generation) != wanted:
                self._vectors = kept = read_vectors(self._store.folder, database, kept)
            return kept


def find(
    database: sqlite3.Connection,
    query: str,
    vector: NDArray[np.float32] | None,
    vectors: Vectors | None,
    k: int,
    *,
    lexical: bool,
    conditions: Sequence[Condition] = (),
    weights: Mapping[str, float] | None = None,
    word_matches: bool = False,
) -> list[tuple[Document, Candidate]]:
    """The best ``k`` passages or fewer, best first; a candidate's position is its place here.

    Args:
        database: In a transaction.
        query: The question; none of it is read as query syntax.
        vector: The question's vector; None to search by words alone.
        vectors: What to search it in.
        k: How many.
        lexical: Whether to search by words.
        conditions: Passages whose documents do not fulfil them are never looked at.
        weights: Of ``lexical`` and ``dense``, where both are fused.
        word_matches: Whether candidates have theirs.
    """
    allowed = _allowed(database, conditions) if conditions and vector is not None else None
    both = lexical and vector is not None
    depth = max(k, FUSED_DEPTH) if both else k
    found: dict[str, Found] = {}
    if lexical:
        found["lexical"] = _by_words(database, query, depth, conditions)
    if vector is not None and vectors is not None:
        found["dense"] = vectors.search(vector, depth, allowed)
    order = _in_order(database, {int(i) for part in found.values() for i in part.ids})
    places = {passage: place for place, passage in enumerate(order)}
    rankings = {name: _ranking(part, places)[:depth] for name, part in found.items()}
    best = reciprocal_rank_fusion(rankings, weights=weights)[:k] if both else next(iter(rankings.values()))
    ids = [order[candidate.position] for candidate in best]
    if vector is not None and vectors is not None:
        near = _similarities(database, vector, vectors, ids, found["dense"])
        best = [replace(c, similarity=near[passage]) for c, passage in zip(best, ids, strict=True)]
    if word_matches:
        best_match = found["lexical"] if lexical else _by_words(database, query, 1, conditions)
        matches = _word_matches(database, query, ids, best_match)
        best = [replace(c, word_match=match) for c, match in zip(best, matches, strict=True)]
    passages = _passages(database, ids)
    return [
        (passages[passage], replace(candidate, position=place))
        for place, (passage, candidate) in enumerate(zip(ids, best, strict=True))
    ]


def _allowed(database: sqlite3.Connection, conditions: Sequence[Condition]) -> Ids:
    where, parameters = _where(conditions)
    rows = database.execute(
        f"SELECT passage.id FROM document JOIN passage ON passage.document = document.id WHERE {where}",
        parameters,
    )
    return np.array([row[0] for row in rows], np.int64)


def _where(conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    parts = [condition.sql() for condition in conditions]
    return " AND ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]


def _by_words(database: sqlite3.Connection, query: str, k: int, conditions: Sequence[Condition]) -> Found:
    """The best ``k`` and those that tie with the last of them."""
    expression = match_expression(query)
    if not expression:
        return Found(np.empty(0, np.int64), np.empty(0, np.float32))
    joined, where = "", ""
    parameters: list[object] = []
    if conditions:
        where, parameters = _where(conditions)
        # CROSS JOIN keeps SQLite from going through all documents first.
        joined = (
            "CROSS JOIN passage ON passage.id = words.rowid "
            "CROSS JOIN document ON document.id = passage.document"
        )
        where = f"AND {where}"
    fetched = k + 1
    while True:
        rows = database.execute(
            f"SELECT words.rowid, -bm25(words) AS score FROM words {joined} WHERE words MATCH ? {where} "
            "ORDER BY score DESC LIMIT ?",
            (expression, *parameters, fetched),
        ).fetchall()
        if len(rows) < fetched or rows[k - 1][1] != rows[-1][1]:
            break
        fetched *= 2
    cut = rows[k - 1][1] if len(rows) > k else -1.0
    kept = [row for row in rows if row[1] >= cut]
    return Found(
        np.array([row[0] for row in kept], np.int64),
        np.array([row[1] for row in kept], np.float64),
    )


def _word_matches(database: sqlite3.Connection, query: str, ids: Sequence[int], found: Found) -> list[float]:
    """Each passage's BM25 as a share of the best: as found, or computed where words did not find it."""
    if not len(found.ids):
        return [0.0] * len(ids)
    scores = {int(passage): float(score) for passage, score in zip(found.ids, found.scores, strict=True)}
    if missing := sorted(set(ids) - scores.keys()):
        scores |= dict(
            database.execute(
                "SELECT rowid, -bm25(words) FROM words WHERE words MATCH ? "
                "AND rowid IN (SELECT value FROM json_each(?))",
                (match_expression(query), json.dumps(missing)),
            )
        )
    highest = float(found.scores.max())
    return [scores.get(passage, 0.0) / highest for passage in ids]


def _in_order(database: sqlite3.Connection, ids: Iterable[int]) -> list[int]:
    """Passages by file, document and number: so equal scores are ordered, however an index came about."""
    rows = database.execute(
        "SELECT passage.id FROM passage JOIN document ON document.id = passage.document "
        "JOIN file ON file.id = document.file WHERE passage.id IN (SELECT value FROM json_each(?)) "
        "ORDER BY path, name, number",
        (json.dumps(list(ids)),),
    )
    return [row[0] for row in rows]


def _passages(database: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Document]:
    """The passages by their ids."""
    rows = database.execute(
        "SELECT passage.id, path, name, title, metadata, number, text, start, end FROM passage "
        "JOIN document ON document.id = passage.document JOIN file ON file.id = document.file "
        "WHERE passage.id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
    found = {}
    for passage, path, name, title, metadata, number, text, start, end in rows:
        # Records are named by their files: two files may number them alike.
        owner = name if name.startswith(path) else f"{path}:{name}"
        known = {**json.loads(metadata), "file": path, "start": start, "end": end}
        found[passage] = Document(f"{owner}#{number}", text, title, known)
    return found


def _ranking(found: Found, places: Mapping[int, int]) -> list[Candidate]:
    candidates = [
        Candidate(places[int(passage)], float(score))
        for passage, score in zip(found.ids, found.scores, strict=True)
    ]
    return sorted(candidates, key=lambda candidate: (-candidate.score, candidate.position))


def _similarities(
    database: sqlite3.Connection,
    vector: NDArray[np.float32],
    vectors: Vectors,
    ids: Sequence[int],
    found: Found,
) -> dict[int, float]:
    """Each passage's similarity: as it was found, or computed where only words found it."""
    near = {int(passage): float(score) for passage, score in zip(found.ids, found.scores, strict=True)}
    if missing := sorted(set(ids) - near.keys()):
        rows = prepared(stored_vectors(database, np.array(missing, np.int64)), vectors.similarity)
        scores = nearest(rows, prepared(vector[np.newaxis], vectors.similarity)[0], vectors.similarity)
        near |= {passage: float(score) for passage, score in zip(missing, scores, strict=True)}
    return near
