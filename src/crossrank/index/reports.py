"""Reports: the content of an index, and the changes made to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossrank.index.sources import Source


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
    removed: tuple[str, ...]
