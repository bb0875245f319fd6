"""BM25 of all passages for many questions at once: the numbers of SQLite's bm25(), from one sparse matrix."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from crossrank.retrieval.words import create_words_table, indexed_text, match_expression

K1, B = 1.2, 0.75  # as in SQLite's bm25()


class WordScores:
    """BM25 of passages, as SQLite computes it.

    Args:
        passages: What is searched.
    """

    def __init__(self, passages: Sequence[str]) -> None:
        self._terms: dict[str, int] = {}
        counts = self._counts([indexed_text(text) for text in passages], grow=True)
        documents = np.diff(counts.tocsc().indptr)
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        rarity = np.log((len(passages) - documents + 0.5) / (documents + 0.5))
        rarity = np.where(rarity > 0, rarity, 1e-6)
        rows = np.repeat(np.arange(len(passages)), np.diff(counts.indptr))
        norm = K1 * (1 - B + B * lengths / max(1e-9, lengths.mean()))
        counts.data = counts.data * (K1 + 1) / (counts.data + norm[rows]) * rarity[counts.indices]
        self._weights = counts.T.tocsr()

    def scores(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """float32 of shape [queries, passages]; 0 where no word is shared."""
        asked = [" ".join(re.findall(r'"([^"]*)"', match_expression(query))) for query in queries]
        return (self._counts(asked, grow=False) @ self._weights).toarray().astype(np.float32)

    def _counts(self, texts: Sequence[str], *, grow: bool) -> csr_matrix:
        database = sqlite3.connect(":memory:")
        create_words_table(database, "words")
        database.execute("CREATE VIRTUAL TABLE word USING fts5vocab(words, instance)")
        database.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", enumerate(texts))
        rows, columns = [], []
        for term, document in database.execute("SELECT term, doc FROM word"):
            column = self._terms.setdefault(term, len(self._terms)) if grow else self._terms.get(term)
            if column is not None:
                rows.append(document)
                columns.append(column)
        database.close()
        ones = np.ones(len(rows), np.float64)
        return csr_matrix((ones, (rows, columns)), shape=(len(texts), len(self._terms)))
