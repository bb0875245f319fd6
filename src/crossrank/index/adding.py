"""Update an index from its sources."""

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

from crossrank.errors import InputError, MissingExtraError
from crossrank.index.reports import AddReport
from crossrank.index.sources import Source, is_unmounted, keep_device, removed_paths, within
from crossrank.index.store import transaction
from crossrank.index.writing import (
    FileState,
    Split,
    Vector,
    as_blobs,
    content_digest,
    delete_documents,
    delete_files,
    documents_of,
    find_now,
    found_files,
    has_parts,
    known_vectors,
    put_file,
    put_passages,
    put_state,
    unfound_files,
)
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.text import Notice, is_supported, read_documents, split_documents

# Number of passages embedded and written at a time: enough for full batches, and a kill loses little.
_PASSAGES_AT_ONCE = 1024
# Longer texts are processed in parts, so that files of any size fit into memory.
_PART_CHARACTERS = 1_000_000
# A file modified less than this before it was read may change again with the same modification time.
_CLOCK_NS = 2_000_000_000
# The state of a file that must always be checked again.
_UNSURE = FileState(size=0, modified_ns=-1, read_ns=0, digest=b"")


@dataclass(slots=True)
class _Work:
    """A file that must be read.

    Attributes:
        path: The path.
        size: Size in bytes, for the progress.
        is_new: Whether it is not in the index yet.
        sources: The sources that include it.
        state: Its state when it was read; set after reading the whole file.
    """

    path: Path
    size: int
    is_new: bool
    sources: set[str] = field(default_factory=set)
    state: FileState = _UNSURE


@dataclass(slots=True)
class _Batch:
    """Files that were read, and whose passages are embedded together."""

    files: list[tuple[_Work, list[Split]]] = field(default_factory=list)
    passages: int = 0


class Adder:
    """Adds new and changed files of some sources to an index, and removes deleted ones.

    A file's passages are written in one transaction, and the file is reported only after the commit.

    Args:
        database: A connection for writing; the caller holds the writer's lock.
        index: The index's folder, which is never indexed itself.
        embedder: The index's embedder.
        sizes: ``chunk_size`` and ``chunk_overlap``.
        strict: Whether a file that cannot be read is an error.
        progress: Called with the number of bytes done and the total number of bytes.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        index: Path,
        embedder: BiEncoder,
        sizes: tuple[int, int],
        *,
        strict: bool = False,
        progress: Callable[[int, int], object] = lambda *_: None,
    ) -> None:
        self._database, self._embedder, self._sizes, self._strict = database, embedder, sizes, strict
        self._index = os.path.realpath(index)
        self._progress = progress
        self._done = self._total = 0
        self._report = AddReport()
        # For each file checked so far: its id in the index, and the work if it must be read.
        self._seen: dict[Path, tuple[int | None, _Work | None]] = {}

    def add(self, sources: Sequence[Source]) -> AddReport:
        """Update the index from these sources.

        Raises:
            InputError: With ``strict``, for the first file that cannot be read; files before it are kept.
        """
        work = self._plan(sources)
        self._total = sum(item.size for item in work)
        self._progress(0, self._total)
        batch = _Batch()
        for item in work:
            parts = self._split(item)
            try:
                first, passages = _take(parts, _PASSAGES_AT_ONCE)
                second = next(parts, None)
            except (InputError, MissingExtraError) as problem:
                self._give_up(item, problem)
                self._advance(item.size)
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
        # Deleted last, so that a moved file can reuse the vectors of its passages.
        if gone := unfound_files(self._database):
            with transaction(self._database):
                self._report.removed += delete_files(self._database, gone)
        return self._report

    def _plan(self, sources: Sequence[Source]) -> list[_Work]:
        """Find the files that must be read, and update which files each source includes."""
        removed = removed_paths(self._database)
        for source in sources:
            meant = self._meant(source, removed)
            if meant is not None and meant != found_files(self._database, source.path):
                with transaction(self._database):
                    find_now(self._database, source.path, meant)
        return [item for _, item in self._seen.values() if item is not None]

    def _meant(self, source: Source, removed: frozenset[str]) -> set[int] | None:
        """The ids of the indexed files that a source includes; None if that is not known just now."""
        if not os.path.lexists(source.path):
            if _was_deleted(source.path):
                return set()
            self._skip(_kept_as_it_was(source, "does not exist"))
            return None
        notices: list[Notice] = []
        found = [
            (path, named)
            for path, named in source.files(removed, notices.append)
            if not within(str(path), self._index)
        ]
        meant = {file for path, named in found if (file := self._file(source, path, named)) is not None}
        for notice in notices:
            self._skip(notice.text)
        if not found and is_unmounted(source):
            self._skip(_kept_as_it_was(source, "is empty and on another drive than before"))
            return None
        if found:
            keep_device(self._database, source)
        return meant | self._hidden([notice.folder for notice in notices if notice.folder is not None])

    def _file(self, source: Source, path: Path, named: bool) -> int | None:
        """The id of a file that a source includes; None if it is not in the index."""
        if not named and not is_supported(path):
            suffix = path.suffix.lower()
            self._report.unsupported[suffix] = self._report.unsupported.get(suffix, 0) + 1
            return None
        if path not in self._seen:
            self._seen[path] = self._look_at(path)
        file, item = self._seen[path]
        if item is not None:
            item.sources.add(source.path)
        return file

    def _hidden(self, folders: Sequence[Path]) -> set[int]:
        """The ids of indexed files in folders that cannot be read just now; they are kept."""
        real = [os.path.realpath(folder) for folder in folders]
        if not real:
            return set()
        files = self._database.execute("SELECT id, path FROM file")
        return {file for file, path in files if any(within(path, folder) for folder in real)}

    def _look_at(self, path: Path) -> tuple[int | None, _Work | None]:
        """The file's id if it is in the index, and the work if it is new or has changed."""
        try:
            str(path).encode()
        except UnicodeEncodeError:
            self._skip(f"{path!a} has a name that is not UTF-8; rename it")
            return None, None
        known = self._database.execute(
            "SELECT id, size, modified_ns, read_ns, digest, problem FROM file WHERE path = ?", (str(path),)
        ).fetchone()
        file = known[0] if known else None
        if file is not None and has_parts(self._database, file):
            self._skip(
                f"{path} is in the index as a collection; crossrank index add-collection goes on with it"
            )
            return file, None
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            if known is None:
                return None, _Work(path, status.st_size, is_new=True)
            if known[1:3] == (status.st_size, status.st_mtime_ns) and known[2] < known[3] - _CLOCK_NS:
                return self._unchanged(file, known[5])
            now = time.time_ns()
            digest = _digest(path)
        except OSError as error:
            return self._cannot_open(path, file, f"{path} cannot be read: {error.strerror}"), None
        if digest == known[4]:
            with transaction(self._database):
                state = FileState(status.st_size, status.st_mtime_ns, now, digest)
                put_state(self._database, known[0], state, known[5])
            return self._unchanged(file, known[5])
        return file, _Work(path, status.st_size, is_new=False)

    def _unchanged(self, file: int | None, problem: str | None) -> tuple[int | None, None]:
        if problem:
            self._skip(problem)
        else:
            self._report.unchanged += 1
        return file, None

    def _cannot_open(self, path: Path, file: int | None, problem: str) -> int:
        """Record why a file cannot be read just now; its passages are kept."""
        self._skip(problem)
        with transaction(self._database):
            if file is None:
                file = put_file(self._database, str(path), ())
            put_state(self._database, file, _UNSURE, problem)
        return file

    def _split(self, item: _Work) -> Iterator[Split]:
        """Yield the file's documents with their passages; raises InputError if it cannot be read."""
        size, overlap = self._sizes
        try:
            before = item.path.stat()
            item.state = FileState(before.st_size, before.st_mtime_ns, time.time_ns(), _digest(item.path))
        except OSError as error:
            raise InputError(f"{item.path} cannot be read: {error.strerror}") from error
        for document in read_documents(
            item.path,
            notify=lambda notice: self._report.notices.append(notice.text),
            part_characters=_PART_CHARACTERS,
        ):
            yield document, split_documents([document], chunk_size=size, chunk_overlap=overlap)
        after = item.path.stat() if item.path.exists() else None
        if after is None or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            item.state = _UNSURE  # it changed while it was read: read it again next time

    def _give_up(self, item: _Work, problem: InputError | MissingExtraError) -> None:
        """Record why a file cannot be read.

        If the file is the cause, it is not read again until it changes. If the cause is elsewhere (a missing
        library, a failing disk), it is tried again next time, and its passages are kept.
        """
        lasting = not isinstance(problem, MissingExtraError) and not isinstance(problem.__cause__, OSError)
        with transaction(self._database):
            file = put_file(self._database, str(item.path), item.sources)
            if lasting:
                delete_documents(self._database, documents_of(self._database, file))
            put_state(self._database, file, item.state if lasting else _UNSURE, str(problem))
        self._skip(str(problem))

    def _skip(self, problem: str) -> None:
        if self._strict:
            raise InputError(problem)
        self._report.skipped.append(problem)

    def _write(self, batch: _Batch) -> None:
        """Embed the passages of a batch, and write its files in one transaction."""
        if not batch.files:
            return
        vectors = self._embedded([split for _, parts in batch.files for split in parts])
        with transaction(self._database):
            for item, parts in batch.files:
                self._put(item, iter([(parts, vectors)]))
        for item, _ in batch.files:
            self._wrote(item)
            self._advance(item.size)

    def _write_long(self, item: _Work, parts: Iterator[Split]) -> None:
        """Write a file that does not fit into memory, in one transaction."""
        done = self._done
        try:
            with transaction(self._database):
                self._put(item, self._portions(item, parts))
        except (InputError, MissingExtraError) as problem:
            self._give_up(item, problem)
        else:
            self._wrote(item)
        self._advance(item.size - (self._done - done))

    def _portions(
        self, item: _Work, parts: Iterator[Split]
    ) -> Iterator[tuple[list[Split], dict[str, Vector]]]:
        done = self._done
        while True:
            some, _ = _take(parts, _PASSAGES_AT_ONCE)
            if not some:
                return
            yield some, self._embedded(some)
            # Slightly less than all: the file is reported as done after it is written.
            read = sum(len(document.text) for document, _ in some)
            self._advance(max(0, min(read, item.size - 1 - (self._done - done))))

    def _put(self, item: _Work, portions: Iterator[tuple[list[Split], dict[str, Vector]]]) -> None:
        """Replace a file's passages."""
        file = put_file(self._database, str(item.path), item.sources)
        old = documents_of(self._database, file)
        for parts, vectors in portions:
            self._report.passages += put_passages(self._database, file, parts, vectors)
        delete_documents(self._database, old)
        put_state(self._database, file, item.state, None)

    def _embedded(self, parts: Sequence[Split]) -> dict[str, Vector]:
        """The vector of each passage, by content: reused from the index for the same text, or embedded."""
        contents = {passage.content for _, passages in parts for passage in passages}
        digests = {content: content_digest(content) for content in sorted(contents)}
        known = known_vectors(self._database, digests.values())
        missing = [content for content, digest in digests.items() if digest not in known]
        if missing:
            blobs = as_blobs(self._embedder.encode_documents(missing))
            known |= {digests[content]: blob for content, blob in zip(missing, blobs, strict=True)}
        return {content: Vector(digest, known[digest]) for content, digest in digests.items()}

    def _wrote(self, item: _Work) -> None:
        (self._report.added if item.is_new else self._report.changed).append(str(item.path))

    def _advance(self, done: int) -> None:
        self._done += done
        self._progress(self._done, self._total)


def _was_deleted(path: str) -> bool:
    """Whether a missing path was deleted, rather than being on a drive that is not mounted."""
    try:
        return any(Path(path).parent.iterdir())
    except OSError:
        return False


def _kept_as_it_was(source: Source, why: str) -> str:
    return f"{source.path} {why}; what the index has of it stays until it is taken out (crossrank index rm)"


def _take(parts: Iterator[Split], passages: int) -> tuple[list[Split], int]:
    """Take documents until they have at least this number of passages."""
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
