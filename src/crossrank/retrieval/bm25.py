"""Lexical search: BM25 over an in-memory SQLite FTS5 table."""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Sequence

from crossrank.retrieval.base import Candidate, check_k
from crossrank.retrieval.words import create_words_table, indexed_text, match_expression


class BM25Index:
    """Passages that can be searched by their words.

    Scores are Okapi BM25 as SQLite computes it (k1 = 1.2, b = 0.75), over words without case, accents and
    English endings, each as often as it is typed (https://www.sqlite.org/fts5.html#the_bm25_function;
    Robertson and Zaragoza, 2009, https://doi.org/10.1561/1500000019). An index may be searched from several
    threads at once.

    Args:
        texts: The passages.

    Raises:
        CrossrankError: This Python's SQLite lacks FTS5.

    Example:
        >>> index = BM25Index(["Paris is in France.", "Rome is in Italy."])
        >>> [candidate.position for candidate in index.search("Where is Rome?", k=10)]
        [1]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        create_words_table(self._database, "passage")
        with self._database:
            self._database.executemany(
                "INSERT INTO passage(rowid, text) VALUES (?, ?)",
                ((position, indexed_text(text)) for position, text in enumerate(texts)),
            )

    def search(self, query: str, k: int) -> list[Candidate]:
        """Find the passages that share words with a query.

        Args:
            query: What a person typed; none of it is read as query syntax.
            k: How many candidates to return at most.

        Returns:
            Candidates with positive scores, best first, equal ones by position; none for a query
            without words, or whose words are nowhere.

        Raises:
            InputError: ``k`` is below 1.
        """
        check_k(k)
        expression = match_expression(query)
        if not expression:
            return []
        with self._lock:
            rows = self._database.execute(
                "SELECT rowid, -bm25(passage) AS score FROM passage WHERE passage MATCH ? "
                "ORDER BY score DESC, rowid LIMIT ?",
                (expression, k),
            ).fetchall()
        return [Candidate(position, score) for position, score in rows]

    def word_matches(
        self, query: str, positions: Sequence[int], *, leave_out: int | None = None
    ) -> list[float]:
        """How well passages match a query's words: BM25 as a share of the best passage's, from 0 to 1.

        A share, since the size of BM25 depends on the query.

        Args:
            query: As for :meth:`search`.
            positions: Of the passages, from 0; any number of them.
            leave_out: A passage that is not to be found, such as the one that the query was made of: the best
                is then the best of the others.

        Returns:
            One number a position; 0 for a passage without any of the words.
        """
        expression = match_expression(query)
        best = [candidate for candidate in self.search(query, 2) if candidate.position != leave_out]
        if not best:
            return [0.0] * len(positions)
        with self._lock:
            scores = dict(
                self._database.execute(
                    "SELECT rowid, -bm25(passage) FROM passage WHERE passage MATCH ? "
                    "AND rowid IN (SELECT value FROM json_each(?))",
                    (expression, json.dumps(list(positions))),
                )
            )
        return [scores.get(position, 0.0) / best[0].score for position in positions]
