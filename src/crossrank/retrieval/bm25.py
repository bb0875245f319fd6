"""Lexical search: BM25 over an SQLite FTS5 table."""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Mapping, Sequence

from crossrank.retrieval.base import Scored, check_k
from crossrank.retrieval.words import create_words_table, indexed_text, match_expression


def best_by_words(
    database: sqlite3.Connection,
    query: str,
    k: int,
    *,
    joined: str = "",
    where: str = "",
    parameters: Sequence[object] = (),
) -> list[Scored]:
    """The best ``k`` rows of the table ``words`` by BM25, and those that tie with the last of them.

    Args:
        database: The database with the table (:func:`crossrank.retrieval.words.create_words_table`).
        query: The question; nothing in it is read as query syntax.
        k: The number of rows.
        joined: SQL that joins other tables.
        where: A condition on the joined tables, in SQL.
        parameters: The parameters of the condition.
    """
    expression = match_expression(query)
    if not expression:
        return []
    condition = f"AND {where}" if where else ""
    fetched = k + 1
    while True:
        rows = database.execute(
            f"SELECT words.rowid, -bm25(words) AS score FROM words {joined} WHERE words MATCH ? {condition} "
            "ORDER BY score DESC LIMIT ?",
            (expression, *parameters, fetched),
        ).fetchall()
        if len(rows) < fetched or rows[k - 1][1] != rows[-1][1]:
            break
        fetched *= 2
    return [Scored(*row) for row in rows if len(rows) <= k or row[1] >= rows[k - 1][1]]


def scores_by_words(database: sqlite3.Connection, query: str, rows: Sequence[int]) -> dict[int, float]:
    """BM25 of the given rows of the table ``words``; rows without any word of the query are left out."""
    expression = match_expression(query)
    if not expression or not rows:
        return {}
    return dict(
        database.execute(
            # The plus sign keeps SQLite from a search for each row id, which would count the passages with
            # each word every time.
            "SELECT rowid, -bm25(words) FROM words WHERE words MATCH ? "
            "AND +rowid IN (SELECT value FROM json_each(?))",
            (expression, json.dumps(list(rows))),
        )
    )


def word_matches(scores: Mapping[int, float]) -> dict[int, float]:
    """How well each passage matches a query's words, from 0 to 1: BM25 divided by the highest BM25.

    It is normalised because the range of BM25 depends on the query.

    Args:
        scores: BM25 by passage; must include the best passage of the collection.

    Example:
        >>> word_matches({3: 8.0, 1: 2.0})
        {3: 1.0, 1: 0.25}
    """
    highest = max(scores.values(), default=0.0) or 1.0
    return {passage: score / highest for passage, score in scores.items()}


class BM25Index:
    """A BM25 index of passages in memory.

    Scores are Okapi BM25 as SQLite computes it (k1 = 1.2, b = 0.75), over stemmed words without case and
    accents; a word that is repeated in the query counts again
    (https://www.sqlite.org/fts5.html#the_bm25_function; Robertson and Zaragoza, 2009,
    https://doi.org/10.1561/1500000019). Thread-safe.

    Args:
        texts: The passages; a passage is identified by its position, from 0.

    Raises:
        CrossrankError: Python's SQLite was built without FTS5.

    Example:
        >>> index = BM25Index(["Paris is in France.", "Rome is in Italy."])
        >>> [passage for passage, _ in index.search("Where is Rome?", k=10)]
        [1]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        create_words_table(self._database, "words")
        with self._database:
            self._database.executemany(
                "INSERT INTO words(rowid, text) VALUES (?, ?)",
                ((position, indexed_text(text)) for position, text in enumerate(texts)),
            )

    def search(self, query: str, k: int) -> list[Scored]:
        """Find the passages that share words with a query.

        Args:
            query: The question; nothing in it is read as query syntax.
            k: The maximum number of passages.

        Returns:
            Passages with positive scores, best first, ties ordered by position; empty if no passage
            contains a word of the query.

        Raises:
            InputError: ``k`` is below 1.
        """
        check_k(k)
        with self._lock:
            found = best_by_words(self._database, query, k)
        return sorted(found, key=lambda scored: (-scored.score, scored.passage))[:k]

    def scores(self, query: str, passages: Sequence[int]) -> dict[int, float]:
        """BM25 of the given passages; passages without any word of the query are left out."""
        with self._lock:
            return scores_by_words(self._database, query, passages)
