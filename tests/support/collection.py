"""A small collection, the index of it, and what has to be the same in two indexes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank.bulk import CollectionReport, add_collection
from crossrank.index import Index
from crossrank.inference.bi_encoder import BiEncoder

RECORDS = [
    {
        "_id": f"d{number}",
        "title": f"Bread {number}" if number % 3 else "",
        "text": f"Passage {number} says why bread {'rises and falls ' * (number % 7)}.",
        "metadata": {"year": 2000 + number},
    }
    for number in range(30)
]


@dataclass
class Collected:
    """A collection in a file, and an index of it to make."""

    corpus: Path
    index: Path
    embedder: BiEncoder

    @classmethod
    def write(cls, folder: Path, embedder: BiEncoder) -> Collected:
        """Write the file into a folder."""
        corpus = folder / "corpus.jsonl"
        corpus.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
        return cls(corpus, folder / "index", embedder)

    def add(self, collection: str | Path | None = None, **options: Any) -> CollectionReport:
        """Add the collection to the index, in parts of few passages."""
        given = {"embedder": self.embedder, "part_size": 4, "chunk_size": 60, **options}
        return add_collection(self.index, self.corpus if collection is None else collection, **given)

    def opened(self) -> Index:
        """The index."""
        return Index(self.index, embedder=self.embedder)

    def expected(self) -> Index:
        """An index that the file was added to at once."""
        plain = Index(self.index.with_name("plain"), embedder=self.embedder, chunk_size=60)
        plain.add([self.corpus])
        return plain

    def check(self) -> None:
        """The index has what the other has, in the same order, and finds the same."""
        plain, mine = self.expected(), self.opened()
        (other, others), (ours, vectors) = _rows(plain.path), _rows(mine.path)
        assert ours == other
        assert vectors == pytest.approx(others, abs=1e-5)
        for retrieval in ("lexical", "dense", "hybrid"):
            found = mine.retrieve("why bread rises", 10, filters="year>=2003", retrieval=retrieval)
            assert [one.document for one in found] == [
                one.document
                for one in plain.retrieve("why bread rises", 10, filters="year>=2003", retrieval=retrieval)
            ]


def _rows(folder: Path) -> tuple[list[Any], np.ndarray]:
    with closing(sqlite3.connect(folder / "index.sqlite")) as database:
        rows = database.execute(
            "SELECT path, name, title, metadata, number, text, start, end FROM passage "
            "JOIN document ON document.id = document JOIN file ON file.id = file ORDER BY passage.id"
        ).fetchall()
        vectors = database.execute("SELECT value FROM vector ORDER BY passage").fetchall()
    return rows, np.frombuffer(b"".join(value for (value,) in vectors), np.float32).reshape(len(rows), -1)
