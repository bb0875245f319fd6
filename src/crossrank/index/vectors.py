"""The vectors of an index: a FAISS file, and the vectors in SQLite that were added since."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from crossrank.index.damage import checksum
from crossrank.index.faiss_file import (
    forget_files,
    is_current,
    newest_file,
    read_file,
    write_file,
)
from crossrank.index.faiss_threads import on_all_threads, on_one_thread
from crossrank.index.kinds import RESCORED, VectorKind, empty
from crossrank.index.store import setting
from crossrank.inference import Similarity
from crossrank.inference.vectors import nearest, prepared

Ids = NDArray[np.int64]

# Up to this number of vectors, search is exact; above it, HNSW is used until there are far fewer.
EXACT_UP_TO, _EXACT_AGAIN_SHARE = 100_000, 0.8
# The file is written again when more than this share of it, and a few hundred vectors or more, are outdated.
_STALE_SHARE, _STALE_FEW = 0.02, 256
# HNSW cannot delete vectors: it is built again when more than this share belongs to deleted passages.
_TOMBSTONE_SHARE = 0.2
# Candidates of HNSW while it is searched.
_SEARCH_CANDIDATES = 128
_ROWS_AT_ONCE = 20_000
# The tolerance between a product computed by FAISS and by NumPy.
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Found:
    """The ids of passages, best first, and their scores."""

    ids: Ids
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of one generation; immutable, so that threads can share it.

    Attributes:
        epoch: The epoch of the index.
        generation: The generation of the index.
        similarity: How vectors are compared.
        base: The content of the FAISS file, by passage id; None if there is no usable file.
        written: The generation of the file; -1 if there is none.
        kind: How the base stores its vectors.
        approximate: Whether the base is HNSW.
        gone: Ids that are in the base but no longer in the index.
        new: Vectors that are in the index but not in the base, by id; None if there are none.
        count: The number of vectors in the index.
    """

    epoch: str
    generation: int
    similarity: Similarity
    base: Any
    written: int
    kind: VectorKind
    approximate: bool
    gone: Ids
    new: Any
    count: int

    @property
    def pending(self) -> int:
        """The number of vectors that are not in the file."""
        return 0 if self.new is None else int(self.new.ntotal)

    def search(self, vector: NDArray[np.float32], k: int, allowed: Ids | None = None) -> Found:
        """Find the ``k`` or fewer passages nearest to a query's vector, shape [d], by the vectors held.

        All passages that tie for the last place are returned. With ``allowed``, only these ids are searched,
        exactly, since HNSW works badly with few allowed vectors.
        """
        query = prepared(vector[np.newaxis], self.similarity)
        on_one_thread()
        parts = [
            self._search_part(part, query, k)
            if allowed is None
            else self._all_scores(part, query[0], allowed)
            for part in (self.base, self.new)
            if part is not None
        ]
        if not parts:
            return Found(np.empty(0, np.int64), np.empty(0, np.float32))
        if self.kind == "float32":
            ids, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
            return _best(ids, scores, k)
        # The scores of rounded vectors and of others cannot be compared.
        found = [_best(*part, k) for part in parts]
        return Found(
            np.concatenate([part.ids for part in found]), np.concatenate([part.scores for part in found])
        )

    def _search_part(self, part: Any, query: NDArray[np.float32], k: int) -> tuple[Ids, NDArray[np.float32]]:
        if part is self.base and self.kind == "binary":
            return self._search_bits(query, k)
        gone = len(self.gone) if part is self.base else 0
        size = part.ntotal - gone
        k, fetched = min(k, size), min(k + 1, size)
        while k:
            distances, ids = (
                row[0] for row in part.search(query, fetched, params=self._parameters(part, fetched))
            )
            # HNSW may find fewer; the missing ids are -1.
            distances, ids = distances[ids >= 0], ids[ids >= 0]
            if (
                self.kind != "float32"
                or fetched == size
                or len(ids) < fetched
                or distances[-1] != distances[k - 1]
            ):
                scores = -np.sqrt(distances) if self.similarity == "euclidean" else distances
                return ids, scores
            fetched = min(2 * fetched, size)  # until no passage that ties for the last place is cut off
        return np.empty(0, np.int64), np.empty(0, np.float32)

    def _search_bits(self, query: NDArray[np.float32], k: int) -> tuple[Ids, NDArray[np.float32]]:
        """The nearest by the number of equal bits, scored by their signs."""
        fetched = min(k + len(self.gone), self.base.ntotal)  # these vectors cannot be left out before
        ids = self.base.search(query, fetched)[1][0]
        ids = ids[~np.isin(ids, self.gone)][:k]
        if not len(ids):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        return ids, nearest(self.base.reconstruct_batch(ids), query[0], self.similarity)

    def _parameters(self, part: Any, fetched: int) -> Any:
        import faiss

        given: dict[str, Any] = {}
        if part is self.base and len(self.gone):
            given["sel"] = faiss.IDSelectorNot(faiss.IDSelectorBatch(self.gone))
        if part is self.base and self.approximate:
            return faiss.SearchParametersHNSW(  # type: ignore[attr-defined]
                efSearch=max(_SEARCH_CANDIDATES, fetched), **given
            )
        return faiss.SearchParameters(**given) if given else None

    def _all_scores(
        self, part: Any, query: NDArray[np.float32], allowed: Ids
    ) -> tuple[Ids, NDArray[np.float32]]:
        """The scores of all allowed ids that have a vector in a part."""
        held, scores = np.intersect1d(allowed, _ids(part), assume_unique=True), [np.empty(0, np.float32)]
        for start in range(0, len(held), _ROWS_AT_ONCE):
            rows = held[start : start + _ROWS_AT_ONCE]
            scores.append(nearest(part.reconstruct_batch(rows), query, self.similarity))
        return held, np.concatenate(scores)


def read_vectors(folder: Path, database: sqlite3.Connection, before: Vectors | None = None) -> Vectors:
    """Read the vectors that a transaction sees: the FAISS file, and the difference to SQLite."""
    epoch, generation = setting(database, "epoch"), int(setting(database, "generation"))
    similarity, kind = setting(database, "similarity"), kind_of(database)
    if before is not None and (before.epoch, before.written) == (epoch, newest_file(folder, epoch)):
        written, base = before.written, before.base
    else:
        written, base = read_file(folder, epoch, int(setting(database, "dimension")), similarity, kind)
    gone = new_ids = np.empty(0, np.int64)
    # Every passage has a vector. An HNSW file may contain more, since it cannot delete vectors.
    (count,) = database.execute("SELECT count(*) FROM passage").fetchone()
    if written != generation or base.ntotal != count:
        live = _live(database)
        held = _ids(base) if base is not None else new_ids
        gone, new_ids = np.setdiff1d(held, live), np.setdiff1d(live, held)
    return Vectors(
        epoch=epoch,
        generation=generation,
        similarity=similarity,  # type: ignore[arg-type]
        base=base,
        written=written,
        kind=kind,
        approximate=base is not None and _is_approximate(base),
        gone=gone,
        new=_built(database, new_ids, similarity, "float32", approximate=False) if len(new_ids) else None,
        count=count,
    )


def write_vectors(folder: Path, database: sqlite3.Connection) -> None:
    """Update the FAISS file if enough has changed; the caller holds the writer's lock.

    Raises:
        OSError: The file cannot be written; the existing one is kept.
    """
    if is_current(folder, database):
        return
    vectors = read_vectors(folder, database)
    few = max(_STALE_FEW, _STALE_SHARE * vectors.count)
    limit = EXACT_UP_TO * (_EXACT_AGAIN_SHARE if vectors.approximate else 1)
    wanted = vectors.count > limit and vectors.kind != "binary"
    if vectors.base is not None and wanted == vectors.approximate:
        if wanted and len(vectors.gone) <= _TOMBSTONE_SHARE * vectors.base.ntotal:
            if vectors.pending > few:
                ids = _ids(vectors.new)
                on_all_threads()
                vectors.base.add_with_ids(vectors.new.reconstruct_batch(ids), ids)
                write_file(folder, database, vectors.base)
            return
        if not wanted and vectors.pending + len(vectors.gone) <= few:
            return
    if vectors.count <= _STALE_FEW:
        forget_files(folder)  # reading this few vectors from SQLite is as fast
        return
    if wanted:
        on_all_threads()
    built = _built(
        database, _live(database), setting(database, "similarity"), vectors.kind, approximate=wanted
    )
    write_file(folder, database, built)


def search(
    database: sqlite3.Connection,
    vectors: Vectors,
    vector: NDArray[np.float32],
    k: int,
    allowed: Ids | None = None,
) -> Found:
    """Find the ``k`` or fewer passages nearest to a query's vector, shape [d]; see :meth:`Vectors.search`.

    Candidates that were found by rounded vectors are scored again by those in SQLite.
    """
    if vectors.kind == "float32":
        return vectors.search(vector, k, allowed)
    found = vectors.search(vector, k * RESCORED[vectors.kind], allowed)
    if not len(found.ids):
        return found
    ids = np.sort(found.ids)
    query = prepared(vector[np.newaxis], vectors.similarity)[0]
    return _best(ids, nearest(_exact(database, ids, vectors.similarity), query, vectors.similarity), k)


def _exact(database: sqlite3.Connection, ids: Ids, similarity: Similarity) -> NDArray[np.float32]:
    return prepared(stored_vectors(database, ids), similarity)


def recall(
    database: sqlite3.Connection, vectors: Vectors, *, at: int = 10, sample: int = 100
) -> float | None:
    """The recall of :func:`search` compared with exact search, for randomly drawn passages."""
    if not vectors.count:
        return None
    if vectors.base is None or (vectors.kind == "float32" and not vectors.approximate):
        return 1.0
    ids = _live(database)
    chosen = np.sort(np.random.default_rng(7).choice(ids, min(sample, len(ids)), replace=False))
    queries = _exact(database, chosen, vectors.similarity)
    # Compares similarities, not ids, since of two equally near passages either is correct.
    best = np.full((len(chosen), at), -np.inf, np.float32)
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        some = ids[start : start + _ROWS_AT_ONCE]
        rows = _exact(database, some, vectors.similarity)
        scores = np.stack([nearest(rows, query, vectors.similarity) for query in queries])
        scores[some == chosen[:, np.newaxis]] = -np.inf
        best = -np.sort(-np.concatenate([best, scores], axis=1), axis=1)[:, :at]
    shares = []
    for passage, query, exact in zip(chosen, queries, best, strict=True):
        found = search(database, vectors, query, at + 1)
        scores = found.scores[found.ids != passage][:at]
        shares.append(np.sum(scores >= exact[-1] - _ROUNDING) / at)
    return float(np.mean(shares))


def _live(database: sqlite3.Connection) -> Ids:
    """The ids of all passages, each of which has a vector."""
    return np.array([row[0] for row in database.execute("SELECT id FROM passage ORDER BY id")], np.int64)


def kind_of(database: sqlite3.Connection) -> VectorKind:
    """How the vectors of the FAISS file are stored."""
    return cast("VectorKind", setting(database, "vectors", "float32"))


def _built(database: sqlite3.Connection, ids: Ids, similarity: str, kind: str, *, approximate: bool) -> Any:
    """A FAISS index over vectors from SQLite."""
    import faiss

    dimension = int(setting(database, "dimension"))
    index = faiss.IndexIDMap2(empty(kind, dimension, similarity, approximate=approximate))
    if not index.is_trained:  # int8 has a range for each number of a vector
        some = ids[:: -(-len(ids) // _ROWS_AT_ONCE)]
        index.train(prepared(stored_vectors(database, some), similarity))  # type: ignore[arg-type]
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        part = ids[start : start + _ROWS_AT_ONCE]
        index.add_with_ids(prepared(stored_vectors(database, part), similarity), part)  # type: ignore[arg-type]
    return index


def stored_vectors(database: sqlite3.Connection, ids: Ids) -> NDArray[np.float32]:
    """Read the vectors of passages from SQLite, shape [n, d], in the order of the ids.

    Args:
        ids: Ids in ascending order; each must have a vector.

    Raises:
        ValueError: A vector is missing or damaged.
    """
    wanted = set(ids.tolist())
    query = "SELECT passage, value, checksum FROM vector WHERE passage BETWEEN ? AND ? ORDER BY passage"
    far_apart = len(ids) * 4 < ids[-1] - ids[0]
    ranges = [(i, i) for i in ids.tolist()] if far_apart else [(int(ids[0]), int(ids[-1]))]
    blobs = []
    for range_ in ranges:
        for passage, value, kept in database.execute(query, range_):
            if checksum(value) != kept:
                raise ValueError(f"the vector of passage {passage} is not as it was written")
            if passage in wanted:
                blobs.append(value)
    return np.frombuffer(b"".join(blobs), np.float32).reshape(len(ids), -1)


def _best(ids: Ids, scores: NDArray[np.float32], k: int) -> Found:
    """The best ``k``, and all that tie with the last of them."""
    order = np.argsort(-scores, kind="stable")
    if len(order) > k:
        order = order[: k + int(np.sum(scores[order[k:]] == scores[order[k - 1]]))]
    return Found(ids[order], scores[order])


def _ids(index: Any) -> Ids:
    import faiss

    return np.asarray(faiss.vector_to_array(index.id_map), np.int64)


def _is_approximate(index: Any) -> bool:
    import faiss

    return isinstance(faiss.downcast_index(index.index), faiss.IndexHNSW)
