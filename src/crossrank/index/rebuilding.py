"""Rebuild vectors and words from the stored passages."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable

from crossrank.index.embedders import embedder_settings
from crossrank.index.store import count_generation, new_epoch, transaction
from crossrank.index.writing import Vector, all_contents, as_blobs, content_digest, put_vector
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.retrieval.words import indexed_text

_AT_ONCE = 1024


def rebuild(
    database: sqlite3.Connection,
    embedder: BiEncoder,
    kind: str,
    progress: Callable[[int, int], object],
) -> None:
    """Embed and index every passage again, in one transaction, and store the new embedder.

    Args:
        database: A connection for writing; the caller holds the writer's lock.
        embedder: The new embedder.
        kind: How the vectors are held from now on.
        progress: Called with the number of passages done and the total number of passages.
    """
    (total,) = database.execute("SELECT count(*) FROM passage").fetchone()
    with transaction(database):
        database.execute("INSERT INTO words (words) VALUES ('delete-all')")
        database.execute("DELETE FROM vector")
        contents = all_contents(database)
        done = 0
        while some := list(itertools.islice(contents, _AT_ONCE)):
            vectors = as_blobs(embedder.encode_documents([content for _, content in some]))
            for (passage, content), value in zip(some, vectors, strict=True):
                put_vector(database, passage, Vector(content_digest(content), value))
            database.executemany(
                "INSERT INTO words (rowid, text) VALUES (?, ?)",
                ((passage, indexed_text(content)) for passage, content in some),
            )
            done += len(some)
            progress(done, total)
        values = {**embedder_settings(embedder), "epoch": new_epoch(), "vectors": kind}
        database.executemany("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", values.items())
        count_generation(database)
