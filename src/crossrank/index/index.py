"""The persistent index."""

from __future__ import annotations

import asyncio
import errno
import shlex
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossrank.documents import Candidate, Document
from crossrank.errors import InputError
from crossrank.index.adding import Adder
from crossrank.index.damage import damaged_vectors
from crossrank.index.embedders import IndexEmbedder, embedder_settings
from crossrank.index.filters import parse_filters
from crossrank.index.kinds import VectorKind, check_kind
from crossrank.index.parts import PartWriter, read_collections
from crossrank.index.passages import (
    PassageInFile,
    find_passage,
    line_numbers,
    passage_in_file,
    sample_passages,
)
from crossrank.index.rebuilding import rebuild
from crossrank.index.reports import AddReport, IndexedFile, IndexInfo, IndexSummary, summary
from crossrank.index.searching import VectorCache, passages_of
from crossrank.index.sources import Source, keep_source, read_sources, remove, removed_paths, resolve
from crossrank.index.store import FORMAT, Store, setting, transaction
from crossrank.index.tuned import read_interpolations, write_interpolation
from crossrank.index.vectors import kind_of, recall, write_vectors
from crossrank.index.writing import delete_files, unfound_files
from crossrank.inference.arithmetic import Precision
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.interpolation import Interpolation
from crossrank.retrieval.base import Retrieval, check_retrieval
from crossrank.retrieval.hybrid import find
from crossrank.text import chunk_sizes

# How long to wait for another writer, in seconds.
_PATIENCE = 5.0


class Index:
    """A persistent index of passages from files, with lexical and dense search and incremental updates.

    Thread-safe; can also be used in forked processes. Any number of processes can search while one writes;
    they see the last committed state. If a process is killed while writing, the index stays valid and keeps
    every file that was reported as added.

    Args:
        path: The folder of the index; :meth:`add` creates it.
        embedder: The bi-encoder, or its name or folder; by default the index's own, or the bundled one.
        chunk_size: Maximum length of a passage in characters, for a new index; 500 by default.
        chunk_overlap: Characters that passages overlap, for a new index; 100 by default.
        vectors: How vectors are held in memory, for a new index and for :meth:`rebuild`: ``float32`` (the
            default), ``int8`` (a quarter of the size) or ``binary`` (a bit a number). The candidates that
            rounded vectors find are scored by the exact ones, which stay on disk.
        precision: The precision to load the embedder in; see :class:`crossrank.BiEncoder`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "bees.txt").write_text("Bees see ultraviolet light.")
        ...     index = Index(f"{folder}/index")
        ...     report = index.add([f"{folder}/bees.txt"])
        ...     [candidate] = index.retrieve("What do bees see?", 3)
        >>> candidate.document.text, dict(candidate.stage_ranks)
        ('Bees see ultraviolet light.', {'lexical': 1, 'dense': 1})
    """

    def __init__(
        self,
        path: Path | str,
        *,
        embedder: str | Path | BiEncoder | None = None,
        chunk_size: int | None = None,
        chunk_overlap: int | None = None,
        vectors: VectorKind | str | None = None,
        precision: Precision = "auto",
    ) -> None:
        self._kind = vectors
        self.path = Path(path)
        # Absolute, so that the working directory may change; messages show the path as given.
        self._store = Store(self.path.absolute(), shown=self.path)
        self._sizes = (chunk_size, chunk_overlap)
        self._vectors = VectorCache(self._store)
        self._embedder = IndexEmbedder(self.path, embedder, precision)

    def add(
        self,
        paths: Iterable[Path | str] = (),
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        strict: bool = False,
        progress: Callable[[int, int], object] = lambda *_: None,
    ) -> AddReport:
        """Add files and folders to the index, or update them; the index is created if it does not exist.

        Unchanged files are skipped by their size and modification time. For changed files, the passages are
        replaced; files that were deleted from an added folder are removed. Each file is written in one
        transaction, so an interruption loses only files that were not written yet.

        Args:
            paths: Files and folders; if empty, everything that was added before is updated.
            include: Patterns of files to include from folders, in .gitignore syntax, relative to the folder;
                they are stored.
            exclude: Patterns of files to exclude. ``.gitignore`` files are respected as well.
            strict: Whether a file that cannot be read is an error. By default it is reported and skipped.
            progress: Called with the number of bytes done and the total number of bytes.

        Returns:
            A report of the changes.

        Raises:
            InputError: A path does not exist; another process is writing; the index was made with another
                embedding model or other chunk sizes; with ``strict``, a file cannot be read.
            ModelError: The embedding model cannot be loaded.
            OSError: The disk is full, or fails; files that were already reported are kept.
        """
        given = [
            Source(path, _listed("include", include), _listed("exclude", exclude))
            for path in _resolved(paths)
        ]
        for source in given:
            source.check()
        if not given and not self._store.exists():
            raise InputError(f"there is no index at {self.path}; name the files and folders to add")
        with self._adding() as (database, embedder, sizes):
            with transaction(database):
                given = [keep_source(database, source) for source in given]
            adder = Adder(database, self._store.folder, embedder, sizes, strict=strict, progress=progress)
            return adder.add(given or read_sources(database))

    @contextmanager
    def adding_parts(self) -> Iterator[PartWriter]:
        """Write the parts of a collection; :func:`crossrank.bulk.add_collection` does that.

        The index is created if it does not exist. Other processes can search it meanwhile, and find the parts
        that are written.

        Raises:
            InputError: Another process is writing; the index was made with another embedding model or other
                chunk sizes.
            ModelError: The embedding model cannot be loaded.
            OSError: The disk is full, or fails; parts that were written are kept.
        """
        with self._adding() as (database, embedder, sizes):
            yield PartWriter(database, self.path, embedder, sizes)

    def exists(self) -> bool:
        """Whether there is an index at the path."""
        return self._store.exists()

    def ls(self) -> list[IndexedFile]:
        """List the files in the index, sorted by path."""
        with self._store.reading() as database:
            rows = database.execute(
                "SELECT path, (SELECT count(*) FROM document JOIN passage ON passage.document = document.id "
                "WHERE document.file = file.id), size, problem FROM file ORDER BY path"
            )
            return [IndexedFile(*row) for row in rows]

    def rm(self, paths: Iterable[Path | str]) -> list[str]:
        """Remove files and folders from the index. They stay removed until they are added by name again.

        Args:
            paths: Files or folders; they do not have to exist any more.

        Returns:
            The files whose passages were removed.

        Raises:
            InputError: The index contains nothing at one of the paths, or another process is writing.
        """
        wanted = _resolved(paths)
        with self._writing() as database:
            with transaction(database):
                remove(database, wanted)
                gone = delete_files(database, unfound_files(database))
            write_vectors(self._store.folder, database)
        return gone

    def info(self) -> IndexInfo:
        """Return statistics of the index, check it for damage, and measure the recall of its vector search.

        Raises:
            InputError: There is no index, or a row is damaged. Damaged vectors are only counted, since
                :meth:`rebuild` repairs them.
        """
        with self._store.reading() as database:
            self._store.check_rows(database)
            damaged = damaged_vectors(database)
            vectors = None if damaged else self._vectors.get(database)
            counts = database.execute(
                "SELECT (SELECT count(*) FROM file WHERE problem IS NULL), "
                "(SELECT count(*) FROM file WHERE problem IS NOT NULL), "
                "(SELECT count(*) FROM document), (SELECT count(*) FROM passage)"
            ).fetchone()
            files, problems, documents, passages = counts
            return IndexInfo(
                path=str(self.path),
                embedder=setting(database, "embedder"),
                files=files,
                problems=problems,
                documents=documents,
                passages=passages,
                dimension=int(setting(database, "dimension")),
                vector_search="damaged" if vectors is None else "HNSW" if vectors.approximate else "exact",
                vectors=kind_of(database),
                recall=None if vectors is None else recall(database, vectors),
                damaged=damaged,
                pending=0 if vectors is None else vectors.pending,
                tombstones=0 if vectors is None else len(vectors.gone),
                bytes=sum(file.stat().st_size for file in self._store.folder.iterdir() if file.is_file()),
                chunk_size=int(setting(database, "chunk_size")),
                chunk_overlap=int(setting(database, "chunk_overlap")),
                format=FORMAT,
                generation=int(setting(database, "generation")),
                sources=tuple(read_sources(database)),
                collections=tuple(read_collections(database)),
                removed=tuple(sorted(removed_paths(database))),
            )

    def rebuild(self, *, progress: Callable[[int, int], object] = lambda *_: None) -> int:
        """Embed and index all stored passages again, with the embedder of this object.

        Use it to change the embedding model of an index, or to repair damaged vectors. The files are not read
        again. All changes are made in one transaction.

        Args:
            progress: Called with the number of passages done and the total number of passages.

        Returns:
            The number of damaged vectors that were repaired.

        Raises:
            InputError: There is no index, or another process is writing.
            ModelError: The embedding model cannot be loaded.
        """
        with self._writing() as database:
            self._store.check_rows(database)
            damaged = damaged_vectors(database)
            options = setting(database, "embedder_options", "{}")
            embedder = self._embedder.wanted(setting(database, "embedder"), options)
            kind = self._kind or kind_of(database)
            check_kind(kind, embedder.similarity)
            rebuild(database, embedder, kind, progress)
            write_vectors(self._store.folder, database)
        return damaged

    def retrieve(
        self,
        query: str,
        k: int,
        *,
        filters: str | Iterable[str] = (),
        retrieval: Retrieval = "hybrid",
        lexical_weight: float = 1.0,
    ) -> list[Candidate]:
        """Retrieve candidates for a question, as a first stage; :class:`crossrank.Searcher` reranks them.

        Args:
            query: The question; nothing in it is read as query syntax.
            k: The maximum number of candidates.
            filters: Conditions on the metadata, such as ``year>=2020``; all of them must hold. Both searches
                only consider passages that match.
            retrieval: By words (``lexical``), by vectors (``dense``), or both fused (``hybrid``).
            lexical_weight: Weight of the lexical ranking in ``hybrid``, relative to the dense one.

        Returns:
            Candidates, best first, with scores and evidence (:func:`crossrank.retrieval.hybrid.find`). A
            passage's metadata has ``source``, ``start`` and ``end`` (in characters), and values of its file
            format, such as ``page``.

        Raises:
            InputError: ``k`` is below 1, a filter is malformed, there is no index, it is damaged, or it was
                made with another embedding model.
        """
        check_retrieval(retrieval, lexical_weight)
        conditions = parse_filters(filters)
        with self._store.reading() as database:
            embedder = vectors = None
            if retrieval != "lexical":
                embedder, vectors = self._embedder.own(database), self._vectors.get(database)
            return find(
                passages_of(database, vectors, conditions),
                query,
                k,
                retrieval=retrieval,
                embedder=embedder,
                lexical_weight=lexical_weight,
            )

    def passage(self, passage_id: str) -> Document:
        """The passage of an id, as a search returns it.

        Args:
            passage_id: The ``id`` of a document that a search found.

        Raises:
            MissingPassageError: There is no passage of this id.
            InputError: There is no index, or it is damaged.
        """
        with self._store.reading() as database:
            return find_passage(database, passage_id)

    def passage_in_file(self, passage_id: str, *, characters: int = 2000) -> PassageInFile:
        """A passage with the text around it in its file. The text comes from the index, not from the file.

        Args:
            passage_id: The ``id`` of a document that a search found.
            characters: Maximum number of characters before the passage, and after it.

        Raises:
            MissingPassageError: There is no passage of this id.
            InputError: ``characters`` is negative, there is no index, or it is damaged.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     _ = Path(folder, "bees.txt").write_text("Bees dance.\\n\\nBees see ultraviolet light.")
            ...     index = Index(f"{folder}/index", chunk_size=30)
            ...     report = index.add([f"{folder}/bees.txt"])
            ...     [candidate] = index.retrieve("What do bees see?", 1)
            ...     found = index.passage_in_file(candidate.document.id)
            >>> found.before, found.passage.text
            ('Bees dance.\\n\\n', 'Bees see ultraviolet light.')
        """
        if characters < 0:
            raise InputError(f"characters must be at least 0; it is {characters}")
        with self._store.reading() as database:
            return passage_in_file(database, passage_id, characters)

    def line_numbers(self, passages: Iterable[Document]) -> list[int | None]:
        """The line that each passage begins at in its file, from 1.

        Args:
            passages: Documents that a search found.

        Returns:
            One number for each passage; None unless its file is plain text or Markdown, and has not changed
            since it was indexed. Up to 20 MB of files are read; None for passages of further ones.

        Raises:
            InputError: There is no index, or it is damaged.
        """
        with self._store.reading() as database:
            return line_numbers(database, passages)

    def summary(self) -> IndexSummary:
        """What the index contains. Faster than :meth:`info`, which also checks it for damage.

        Raises:
            InputError: There is no index, or it is damaged.
        """
        with self._store.reading() as database:
            return summary(database, self.path)

    def retriever(self, *, retrieval: Retrieval = "hybrid", lexical_weight: float = 1.0) -> IndexRetriever:
        """A first stage over this index with fixed search options, for a :class:`crossrank.Searcher`.

        Args:
            retrieval: See :meth:`retrieve`.
            lexical_weight: See :meth:`retrieve`.

        Raises:
            InputError: The first stage does not exist, or the weight is not above 0.
        """
        check_retrieval(retrieval, lexical_weight)
        return IndexRetriever(self, retrieval, lexical_weight)

    def interpolations(self) -> dict[str, Interpolation]:
        """Weights that were learnt for this index (``crossrank eval --tune``).

        Returns:
            The fingerprint of a cross-encoder to how its logit counts next to the evidence of this index.

        Raises:
            InputError: There is no index, or it is damaged.
        """
        with self._store.reading() as database:
            return read_interpolations(database)

    def keep_interpolation(self, model: str, interpolation: Interpolation | None) -> None:
        """Keep learnt weights for a model; :class:`crossrank.Searcher` uses them in place of the model's own.

        Args:
            model: The cross-encoder's fingerprint (:attr:`crossrank.CrossEncoder.fingerprint`).
            interpolation: The weights; None removes them.

        Raises:
            InputError: There is no index, or another process is writing.
        """
        with self._writing() as database, transaction(database):
            write_interpolation(database, model, interpolation)

    def sample(self, count: int, *, seed: int = 0) -> list[Document]:
        """Passages drawn by chance, each from a file of its own as far as there are enough.

        Args:
            count: The maximum number of passages.
            seed: Of the random choice.

        Raises:
            InputError: There is no index, or it is damaged.
        """
        with self._store.reading() as database:
            return sample_passages(database, count, seed)

    def load(self) -> None:
        """Load the embedder now instead of at the first query.

        Raises:
            InputError: See :attr:`embedder`.
            ModelError: The model cannot be loaded.
        """
        _ = self.embedder

    @property
    def embedder(self) -> BiEncoder:
        """The bi-encoder of the index, loaded on first use.

        Raises:
            InputError: There is no index, or it was made with another embedding model than the given one.
            ModelError: The model cannot be loaded.
        """
        with self._store.reading() as database:
            return self._embedder.own(database)

    async def aadd(self, paths: Iterable[Path | str] = (), **options: Any) -> AddReport:
        """:meth:`add` in another thread, without blocking the event loop."""
        return await asyncio.to_thread(self.add, paths, **options)

    async def als(self) -> list[IndexedFile]:
        """:meth:`ls` in another thread."""
        return await asyncio.to_thread(self.ls)

    async def arm(self, paths: Iterable[Path | str]) -> list[str]:
        """:meth:`rm` in another thread."""
        return await asyncio.to_thread(self.rm, paths)

    async def ainfo(self) -> IndexInfo:
        """:meth:`info` in another thread."""
        return await asyncio.to_thread(self.info)

    async def arebuild(self, **options: Any) -> int:
        """:meth:`rebuild` in another thread."""
        return await asyncio.to_thread(self.rebuild, **options)

    async def aretrieve(self, query: str, k: int, **options: Any) -> list[Candidate]:
        """:meth:`retrieve` in another thread."""
        return await asyncio.to_thread(self.retrieve, query, k, **options)

    @contextmanager
    def _writing(self, new: dict[str, str] | None = None) -> Iterator[sqlite3.Connection]:
        """A connection for writing, under the writer's lock; ``new`` has the settings of a new index."""
        with self._lock(new is not None):
            if new is not None and not self._store.exists():
                self._store.create(new)
            with self._store.writing() as database:
                yield database

    @contextmanager
    def _adding(self) -> Iterator[tuple[sqlite3.Connection, BiEncoder, tuple[int, int]]]:
        """Write to the index, which is created if it does not exist: a connection, embedder, chunk sizes."""
        new = None if self._store.exists() else self._settings_of_new()
        with self._writing(new) as database:
            embedder, sizes = self._embedder.own(database), self._checked_sizes(database)
            self._check_kind(database)
            with transaction(database):
                self._embedder.keep_name(database)
            yield database, embedder, sizes
            write_vectors(self._store.folder, database)

    def _lock(self, create: bool) -> AbstractContextManager[object]:
        """The writer's lock, held until the context exits."""
        try:
            self._store.prepare() if create else self._store.check_exists()
            return FileLock(self._store.folder / "writer.lock", timeout=_PATIENCE).acquire()
        except Timeout:
            raise InputError(
                f"another process is writing to {self.path}; try again when it is done "
                "(searching works meanwhile)"
            ) from None
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise InputError(
                f"{self.path} is not writable ({error.strerror}); an index there can only be searched"
            ) from error

    def _settings_of_new(self) -> dict[str, str]:
        """The settings of a new index, checked before anything is written."""
        size, overlap = chunk_sizes(*self._sizes)
        sizes = {"chunk_size": str(size), "chunk_overlap": str(overlap)}
        embedder, kind = self._embedder.wanted(), self._kind or "float32"
        check_kind(kind, embedder.similarity)
        return {**embedder_settings(embedder), **sizes, "vectors": kind}

    def _check_kind(self, database: sqlite3.Connection) -> None:
        own = kind_of(database)
        if self._kind not in (None, own):
            raise InputError(
                f"{self.path} was made with {own} vectors, not {self._kind}; leave it out, or change it: "
                f"crossrank index rebuild {shlex.quote(str(self.path))} --vectors {self._kind}"
            )

    def _checked_sizes(self, database: sqlite3.Connection) -> tuple[int, int]:
        own = int(setting(database, "chunk_size")), int(setting(database, "chunk_overlap"))
        for name, mine, given in zip(("chunk_size", "chunk_overlap"), own, self._sizes, strict=True):
            if given not in (None, mine):
                raise InputError(
                    f"{self.path} was made with {name} {mine}, not {given}; leave it out, "
                    "or make another index"
                )
        return own


@dataclass(frozen=True, slots=True)
class IndexRetriever:
    """An index with fixed search options; created by :meth:`Index.retriever`.

    Attributes:
        index: The index.
        retrieval: By words (``lexical``), by vectors (``dense``), or both fused (``hybrid``).
        lexical_weight: Weight of the lexical ranking in ``hybrid``, relative to the dense one.
    """

    index: Index
    retrieval: Retrieval
    lexical_weight: float

    def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
        """As :meth:`Index.retrieve`."""
        return self.index.retrieve(
            query, k, filters=filters, retrieval=self.retrieval, lexical_weight=self.lexical_weight
        )

    def interpolations(self) -> dict[str, Interpolation]:
        """See :meth:`Index.interpolations`."""
        return self.index.interpolations()

    @property
    def embedder(self) -> BiEncoder | None:
        """See :attr:`Index.embedder`; None for ``lexical``."""
        return None if self.retrieval == "lexical" else self.index.embedder

    def load(self) -> None:
        """Load the embedder now if it is needed; see :meth:`Index.load`."""
        _ = self.embedder


def _resolved(paths: Iterable[Path | str]) -> list[str]:
    if isinstance(paths, (str, Path)):
        raise InputError("paths must be a list; a single path was given. Write [path].")
    return [resolve(path) for path in paths]


def _listed(name: str, patterns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(patterns, str):
        raise InputError(f"{name} must be a list of patterns; write [{patterns!r}] for one")
    return tuple(patterns)
