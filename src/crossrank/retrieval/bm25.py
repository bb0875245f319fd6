"""Lexical search: BM25 over an in-memory SQLite FTS5 table."""

from __future__ import annotations

import re
import sqlite3
import threading
import unicodedata
import weakref
from collections.abc import Sequence

from crossrank.errors import CrossrankError
from crossrank.retrieval.base import Candidate, check_k

_WORD = re.compile(r"[^\W_]+")
# Kana and Han are written without spaces between words, so each character is searched as a word.
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# Words that say how a question is asked, not what about.
_ENGLISH = """
a about an and are as at be been but by can could did do does for from had has have he how i if in into is it
its me my no not of on or our she should so such than that the their then there these they this to was we
were what when where which who whom whose why will with would you your
"""
_STOP_WORDS = frozenset(_ENGLISH.split())


class BM25Index:
    """Passages that can be searched by their words.

    Scores are Okapi BM25 as SQLite computes it (k1 = 1.2, b = 0.75), over words without case, accents and
    English endings (https://www.sqlite.org/fts5.html#the_bm25_function; Robertson and Zaragoza, 2009,
    https://doi.org/10.1561/1500000019). An index may be searched from several threads at once.

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
        try:
            # content='' keeps the words' places only; the texts themselves stay with the caller.
            self._database.execute(
                "CREATE VIRTUAL TABLE passage "
                "USING fts5(text, content='', tokenize='porter unicode61 remove_diacritics 2')"
            )
        except sqlite3.OperationalError as error:
            raise CrossrankError(
                f"lexical search needs SQLite with FTS5, which this Python lacks ({error}); "
                "use a Python from python.org, conda or your distribution, or search by vectors alone"
            ) from error
        with self._database:
            self._database.executemany(
                "INSERT INTO passage(rowid, text) VALUES (?, ?)",
                ((position, _spaced(text)) for position, text in enumerate(texts)),
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
        words = _query_words(query)
        if not words:
            return []
        with self._lock:
            rows = self._database.execute(
                "SELECT rowid, -bm25(passage) AS score FROM passage WHERE passage MATCH ? "
                "ORDER BY score DESC, rowid LIMIT ?",
                (" OR ".join(f'"{word}"' for word in words), k),
            ).fetchall()
        return [Candidate(position, score) for position, score in rows]


def _query_words(query: str) -> list[str]:
    """The words to look for, each once: no stop words, unless there are no others."""
    typed = {word.lower(): word for word in _WORD.findall(unicodedata.normalize("NFC", _spaced(query)))}
    # Capitals make a name of a stop word: WHO, IT.
    kept = [
        word
        for lower, word in typed.items()
        if lower not in _STOP_WORDS or (len(word) > 1 and word.isupper())
    ]
    return kept or list(typed.values())


def _spaced(text: str) -> str:
    """The text as SQLite can hold it, with spaces around characters that are words of their own."""
    if text.isascii():
        return text
    return _UNSPACED.sub(r" \g<0> ", text.encode("utf-8", errors="replace").decode("utf-8"))
