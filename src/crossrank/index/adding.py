"""Bringing an index up to date with the files that it was told of."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crossrank.documents import Document
from crossrank.errors import InputError, MissingExtraError
from crossrank.index.reports import AddReport
from crossrank.index.sources import Source, removed_paths
from crossrank.index.store import transaction
from crossrank.index.writing import (
    FileState,
    Split,
    as_blobs,
    delete_unfound,
    find_now,
    known_vectors,
    put_file,
    put_passages,
)
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.text import is_supported, read_documents, split_documents

# So many passages are embedded and written at a time: full batches, and little to lose in a kill.
_PASSAGES_AT_ONCE = 1024
# Longer texts are read, split and written in parts, so that a file of any size fits into memory.
_PART_CHARACTERS = 1_000_000
# A file modified so shortly before it was read may be modified again without a new time of modification.
_CLOCK_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class _Work:
    """A file that must be read, and what is known before that."""

    state: FileState
    source: str
    is_new: bool


@dataclass(slots=True)
class _Batch:
    """Files that were read, and whose passages are to be embedded together."""

    files: list[tuple[_Work, list[Split]]] = field(default_factory=list)
    passages: int = 0


class Adder:
    """Reads what is new or changed among the files of some sources, and forgets what is gone.

    A file's passages are written in one transaction, and only then is it reported: what is reported lasts.

    Args:
        database: To write with; nobody else writes.
        embedder: The index's.
        sizes: ``chunk_size`` and ``chunk_overlap``.
        strict: Whether a file that cannot be read is an error.
        progress: Told how many bytes are done, and of how many.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        embedder: BiEncoder,
        sizes: tuple[int, int],
        *,
        strict: bool = False,
        progress: Callable[[int, int], object] = lambda *_: None,
    ) -> None:
        self._database, self._embedder, self._sizes, self._strict = database, embedder, sizes, strict
        self._progress = progress
        self._done = self._total = 0
        self._report = AddReport()
        self._touched: list[tuple[int, int, int, int]] = []

    def add(self, sources: Sequence[Source]) -> AddReport:
        """Bring the index up to date with these sources.

        Raises:
            InputError: With ``strict``, the first file that cannot be read; those before it are kept.
        """
        work = self._plan(sources)
        self._total = sum(item.state.size for item in work)
        self._progress(0, self._total)
        batch = _Batch()
        for item in work:
            parts = self._split(item)
            try:
                first, passages = _take(parts, _PASSAGES_AT_ONCE)
                second = next(parts, None) if passages >= _PASSAGES_AT_ONCE else None
            except (InputError, MissingExtraError) as problem:
                self._give_up(item, str(problem))
                self._advance(item.state.size)
                continue
            if second is None:
                batch.files.append((item, first))
                batch.passages += passages
            if second is not None or batch.passages >= _PASSAGES_AT_ONCE:
                self._write(batch)
                batch = _Batch()
            if second is not None:
                self._write_long(item, itertools.chain(first, [second], parts))
        self._write(batch)
        return self._report

    def _plan(self, sources: Sequence[Source]) -> list[_Work]:
        """Which files must be read. What is gone is deleted here, before anything is written."""
        work: dict[str, _Work] = {}
        removed = removed_paths(self._database)
        for source in sources:
            if not os.path.lexists(source.path):
                # A drive that is not there today must not cost an index.
                self._report.skipped.append(
                    f"{source.path} does not exist any more; what the index has of it stays until "
                    f"crossrank index rm INDEX {source.path}"
                )
                continue
            meant: set[int] = set()
            for path, named in source.files(removed, self._report.skipped):
                if not named and not is_supported(path):
                    suffix = path.suffix.lower()
                    self._report.unsupported[suffix] = self._report.unsupported.get(suffix, 0) + 1
                    continue
                file, item = self._look_at(path, source)
                if item is not None:
                    work.setdefault(str(path), item)
                if file is not None:
                    meant.add(file)
            with transaction(self._database):
                find_now(self._database, source.path, meant)
        with transaction(self._database):
            self._database.executemany(
                "UPDATE file SET size = ?, modified_ns = ?, read_ns = ? WHERE id = ?", self._touched
            )
            self._report.removed += delete_unfound(self._database)
        return list(work.values())

    def _look_at(self, path: Path, source: Source) -> tuple[int | None, _Work | None]:
        """The file's id where the index has it, and the work where it is not as the index has it."""
        known = self._database.execute(
            "SELECT id, size, modified_ns, read_ns, digest, problem FROM file WHERE path = ?", (str(path),)
        ).fetchone()
        now = time.time_ns()
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            same = known is not None and known[1:3] == (status.st_size, status.st_mtime_ns)
            if same and status.st_mtime_ns < known[3] - _CLOCK_NS:
                return self._unchanged(known)
            digest = _digest(path)
        except OSError as error:
            self._skip(f"{path} cannot be read: {error.strerror}")
            return (known[0] if known else None), None
        state = FileState(str(path), status.st_size, status.st_mtime_ns, now, digest)
        if known is not None and known[4] == digest:
            self._touched.append((state.size, state.modified_ns, state.read_ns, known[0]))
            return self._unchanged(known)
        return (known[0] if known else None), _Work(state, source.path, known is None)

    def _unchanged(self, known: tuple[int, int, int, int, bytes, str | None]) -> tuple[int, None]:
        self._report.unchanged += 1
        if known[5]:
            self._skip(known[5])
        return known[0], None

    def _split(self, item: _Work) -> Iterator[Split]:
        """The file's documents with their passages; InputError, at any time, where it cannot be read."""
        size, overlap = self._sizes
        for document in read_documents(
            Path(item.state.path), notice=self._report.notices.append, part_characters=_PART_CHARACTERS
        ):
            yield document, split_documents([document], chunk_size=size, chunk_overlap=overlap)

    def _give_up(self, item: _Work, problem: str) -> None:
        with transaction(self._database):
            put_file(self._database, item.state, item.source, problem)
        self._skip(problem)

    def _skip(self, problem: str) -> None:
        if self._strict:
            raise InputError(problem)
        self._report.skipped.append(problem)

    def _write(self, batch: _Batch) -> None:
        """Embed what the batch holds, and write its files in one transaction."""
        if not batch.files:
            return
        vectors: dict[str, bytes] = {}
        for item, _ in batch.files:
            if not item.is_new:
                vectors |= known_vectors(self._database, item.state.path)
        self._embed([passage for _, parts in batch.files for _, split in parts for passage in split], vectors)
        with transaction(self._database):
            for item, parts in batch.files:
                file = put_file(self._database, item.state, item.source)
                self._report.passages += put_passages(self._database, file, parts, vectors)
        for item, _ in batch.files:
            self._wrote(item)
            self._advance(item.state.size)

    def _write_long(self, item: _Work, parts: Iterator[Split]) -> None:
        """Write a file that is too long to be held in memory; it is there whole or, as before, not."""
        read = 0
        try:
            with transaction(self._database):
                file = put_file(self._database, item.state, item.source)
                while True:
                    some, _ = _take(parts, _PASSAGES_AT_ONCE)
                    if not some:
                        break
                    vectors: dict[str, bytes] = {}
                    self._embed([passage for _, split in some for passage in split], vectors)
                    self._report.passages += put_passages(self._database, file, some, vectors)
                    # The last byte is reported with the file: once it is written.
                    now = min(item.state.size - 1, read + sum(len(document.text) for document, _ in some))
                    self._advance(now - read)
                    read = now
        except (InputError, MissingExtraError) as problem:
            self._give_up(item, str(problem))
        else:
            self._wrote(item)
        self._advance(item.state.size - read)

    def _embed(self, passages: Sequence[Document], vectors: dict[str, bytes]) -> None:
        """Add the vectors that are missing, each text's once."""
        missing = list(dict.fromkeys(p.content for p in passages if p.content not in vectors))
        if missing:
            vectors |= zip(missing, as_blobs(self._embedder.encode_documents(missing)), strict=True)

    def _wrote(self, item: _Work) -> None:
        (self._report.added if item.is_new else self._report.changed).append(item.state.path)

    def _advance(self, done: int) -> None:
        self._done += done
        self._progress(self._done, self._total)


def _take(parts: Iterator[Split], passages: int) -> tuple[list[Split], int]:
    """Documents until there are so many passages, or no more."""
    taken: list[Split] = []
    count = 0
    for part in parts:
        taken.append(part)
        count += len(part[1])
        if count >= passages:
            break
    return taken, count


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
