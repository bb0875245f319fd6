"""What an index holds, said so that two indexes can be compared however they came about."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

from crossrank.documents import Candidate
from crossrank.index import Index
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.retrieval.base import Retrieval

RETRIEVALS: tuple[Retrieval, ...] = get_args(Retrieval)


def contents(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Of every file, its problem and its passages, each with its vector and with its words for FTS5.

    Raises:
        AssertionError: SQLite says that its file or its words are damaged.
    """
    with closing(sqlite3.connect(folder / "index.sqlite", isolation_level=None)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        database.execute("BEGIN")
        database.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        database.execute("ROLLBACK")
        database.execute("CREATE VIRTUAL TABLE temp.said USING fts5vocab('main', 'words', 'instance')")
        words = defaultdict(list)
        for passage, term, offset in database.execute("SELECT doc, term, offset FROM temp.said"):
            words[passage].append((offset, term))
        held: dict[str, list[tuple[Any, ...]]] = {}
        for path, problem in database.execute("SELECT path, problem FROM file ORDER BY path"):
            held[path] = [(problem,)] if problem else []
        for path, passage, *rest in database.execute(
            "SELECT path, passage.id, name, title, metadata, number, text, start, end, value FROM file "
            "JOIN document ON document.file = file.id JOIN passage ON passage.document = document.id "
            "LEFT JOIN vector ON vector.passage = passage.id ORDER BY path, name, number"
        ):
            held[path].append((*rest, sorted(words.pop(passage, []))))
        assert not words, "FTS5 knows words of passages that are gone"
        assert (
            database.execute("SELECT count(*) FROM vector").fetchone()
            == database.execute("SELECT count(*) FROM passage").fetchone()
        )
    return held


def answers(index: Index | Path, embedder: BiEncoder, *queries: str) -> list[list[Candidate]]:
    """What each query finds, in all retrievals."""
    if isinstance(index, Path):
        index = Index(index, embedder=embedder)
    return [
        index.retrieve(query, 10, retrieval=retrieval)
        for query in queries or ("the harbour at night", "who bakes bread")
        for retrieval in RETRIEVALS
    ]
