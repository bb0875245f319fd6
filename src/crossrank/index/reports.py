"""What an index says of itself and of what was done to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossrank.index.sources import Source


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file that an index knows.

    Attributes:
        path: Absolute.
        passages: How many of its passages can be found.
        size: Bytes, when it was read.
        problem: Why it cannot be searched; None where it can.
    """

    path: str
    passages: int
    size: int
    problem: str | None = None


@dataclass(slots=True)
class AddReport:
    """What :meth:`crossrank.Index.add` did.

    Attributes:
        added: Files that were not in the index.
        changed: Files whose passages were replaced.
        unchanged: How many files were as the index knows them.
        removed: Files that are no longer where they were.
        passages: How many passages were written.
        skipped: One sentence for each file or folder that cannot be read, with the reason.
        notices: What a person should know about files that were read: records without text, bytes that are
            not UTF-8.
        unsupported: How many files in folders are of types that are not read, by their suffix.
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
    """What an index holds.

    Attributes:
        path: The folder.
        embedder: The bi-encoder whose vectors it holds.
        files: How many files can be searched.
        problems: How many cannot.
        documents: How many documents those files hold: records, pages, or the files themselves.
        passages: How many passages.
        dimension: Of the vectors; 0 where there are none.
        vector_search: ``exact`` or ``HNSW``; ``damaged`` where vectors are not as they were written.
        recall: The share of the exact ten nearest that the search over vectors finds, on average over
            passages drawn by chance; 1.0 where it is exact, None where there are no vectors, or damaged ones.
        damaged: How many vectors are not as they were written; ``rebuild`` makes them again.
        pending: Vectors that were added since the FAISS file was written; they are searched exactly.
        tombstones: Vectors in the FAISS file of passages that are gone; they are passed over.
        bytes: On disk.
        chunk_size: The longest passage, in characters.
        chunk_overlap: Characters repeated between passages.
        format: Of the SQLite file.
        generation: How often it was written.
        sources: The folders and files that were added, with their patterns; ``add`` without paths reads them
            again.
        removed: What was taken out by hand and stays out.
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
