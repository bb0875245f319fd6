"""Reports: the content of an index, and the changes made to it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from crossrank.index.parts import read_collections
from crossrank.index.sources import Source, read_sources
from crossrank.index.store import setting

# Documents whose metadata fields a summary lists.
_SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file in an index.

    Attributes:
        path: The absolute path.
        passages: The number of its passages.
        size: Size in bytes when it was read.
        problem: Why it cannot be searched; None if it can.
    """

    path: str
    passages: int
    size: int
    problem: str | None = None


@dataclass(slots=True)
class AddReport:
    """The result of :meth:`crossrank.Index.add`.

    Attributes:
        added: New files.
        changed: Files whose passages were replaced.
        unchanged: Number of unchanged files.
        removed: Files that no longer exist and were removed.
        passages: Number of passages written.
        skipped: One sentence for each file or folder that cannot be read, with the reason.
        notices: Warnings about files that were read, such as records without text or bytes that are not
            UTF-8.
        unsupported: Number of files in folders whose type is not supported, by suffix.
    """

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: int = 0
    removed: list[str] = field(default_factory=list)
    passages: int = 0
    skipped: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    unsupported: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """Statistics of an index.

    Attributes:
        path: The folder.
        embedder: The name of the bi-encoder that computed the vectors.
        files: Number of files that can be searched.
        problems: Number of files that cannot be searched.
        documents: Number of documents in those files: records, pages, or whole files.
        passages: Number of passages.
        dimension: Dimension of the vectors; 0 if there are none.
        vector_search: ``exact`` or ``HNSW``; ``damaged`` if any vector is damaged.
        vectors: How vectors are held in memory: ``float32``, ``int8`` or ``binary``.
        recall: Recall@10 of the vector search compared with exact search, on average over randomly drawn
            passages; 1.0 if the search is exact, None if there are no vectors or damaged ones.
        damaged: Number of damaged vectors; ``rebuild`` repairs them.
        pending: Number of vectors added since the FAISS file was written; they are searched exactly.
        tombstones: Number of vectors of deleted passages in the FAISS file; they are skipped.
        bytes: Size on disk.
        chunk_size: Maximum length of a passage in characters.
        chunk_overlap: Characters that passages overlap.
        format: Format version of the SQLite file.
        generation: Number of writes so far.
        sources: The folders and files that were added, with their patterns; ``add`` without paths updates
            them.
        collections: The files of collections that were added in parts.
        removed: Paths that were removed with ``rm`` and stay removed.
    """

    path: str
    embedder: str
    files: int
    problems: int
    documents: int
    passages: int
    dimension: int
    vector_search: str
    vectors: str
    recall: float | None
    damaged: int
    pending: int
    tombstones: int
    bytes: int
    chunk_size: int
    chunk_overlap: int
    format: int
    generation: int
    sources: tuple[Source, ...]
    collections: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What an index contains.

    Attributes:
        path: The folder.
        embedder: The name of the bi-encoder that computed the vectors.
        files: Number of files that can be searched.
        documents: Number of documents in those files: records, pages, or whole files.
        passages: Number of passages.
        sources: The folders and files that were added, and the files of collections.
        fields: Names of metadata fields that filters can use, sorted; from the first 1,000 documents.
    """

    path: str
    embedder: str
    files: int
    documents: int
    passages: int
    sources: tuple[str, ...]
    fields: tuple[str, ...]


def summary(database: sqlite3.Connection, path: Path) -> IndexSummary:
    """The summary of an index.

    Args:
        database: A connection in a transaction.
        path: The folder, as it is shown.
    """
    files, documents, passages = database.execute(
        "SELECT (SELECT count(*) FROM file WHERE problem IS NULL), "
        "(SELECT count(*) FROM document), (SELECT count(*) FROM passage)"
    ).fetchone()
    fields = database.execute(
        "SELECT DISTINCT key FROM (SELECT metadata FROM document ORDER BY id LIMIT ?) AS sample, "
        "json_each(sample.metadata) WHERE type != 'object' ORDER BY key",
        (_SAMPLE,),
    )
    sources = (*(source.path for source in read_sources(database)), *read_collections(database))
    embedder = setting(database, "embedder")
    names = tuple(name for (name,) in fields)
    return IndexSummary(str(path), embedder, files, documents, passages, sources, names)
