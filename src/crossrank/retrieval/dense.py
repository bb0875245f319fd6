"""Dense search: exact nearest vectors with FAISS."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.inference import Similarity
from crossrank.inference.engines.threads import available_threads
from crossrank.inference.vectors import prepared, similarities
from crossrank.retrieval.base import Scored, check_k

_first_process = os.getpid()


class DenseIndex:
    """A vector index in memory, with exact nearest-neighbour search.

    The query is compared with every vector (Douze et al., 2024, The Faiss library,
    https://arxiv.org/abs/2401.08281).

    Args:
        vectors: One vector per passage, shape [n, d], float32; copied, not changed.
        similarity: ``cosine`` (0 for a zero vector), ``dot``, or ``euclidean``, whose score is the negated
            distance.

    Raises:
        InputError: ``vectors`` does not have two dimensions, or contains NaN or infinity.

    Example:
        >>> index = DenseIndex(np.eye(3, dtype=np.float32), similarity="cosine")
        >>> index.search(np.array([0, 2, 0], dtype=np.float32), k=1)
        [Scored(passage=1, score=1.0)]
    """

    def __init__(self, vectors: NDArray[np.float32], *, similarity: Similarity) -> None:
        import faiss

        if vectors.ndim != 2:
            raise InputError(f"vectors must have the shape [n, d]; theirs is {list(vectors.shape)}")
        self._similarity = similarity
        make_index = faiss.IndexFlatL2 if similarity == "euclidean" else faiss.IndexFlatIP
        self._index = make_index(vectors.shape[1])
        self._index.add(prepared(vectors, similarity))

    def search(self, vector: NDArray[np.float32], k: int) -> list[Scored]:
        """Find the passages nearest to a vector.

        Args:
            vector: The query's vector, shape [d], float32.
            k: The maximum number of passages.

        Returns:
            min(k, n) passages by position, best first, ties ordered by position.

        Raises:
            InputError: ``k`` is below 1, the vector's dimension differs from the index's, or the vector
                contains NaN or infinity.
        """
        check_k(k)
        size = self._index.ntotal
        if size == 0:
            return []
        if vector.shape != (self._index.d,):
            raise InputError(
                f"the query's vector must have the shape [{self._index.d}], as the indexed vectors have; "
                f"its shape is {list(vector.shape)}. Encode both with the same model"
            )
        query = prepared(vector[np.newaxis], self._similarity)
        on_one_thread()
        # FAISS may return any of the vectors that tie for the last place, so fetch more until no tie is cut.
        k, fetched = min(k, size), min(k + 1, size)
        while True:
            distances, positions = (row[0] for row in self._index.search(query, fetched))
            if fetched == size or distances[-1] != distances[k - 1]:
                break
            fetched = min(2 * fetched, size)
        scores = -np.sqrt(distances) if self._similarity == "euclidean" else distances
        order = np.lexsort((positions, -scores))[:k]
        return [Scored(int(positions[i]), float(scores[i])) for i in order]

    def similarities(self, vector: NDArray[np.float32], passages: Sequence[int]) -> dict[int, float]:
        """The similarity of given passages to a query's vector, shape [d]; see :func:`similarities`."""
        if not passages:
            return {}
        rows = self._index.reconstruct_batch(list(passages))
        query = prepared(vector[np.newaxis], self._similarity)[0]
        return dict(zip(passages, similarities(rows, query, self._similarity), strict=True))


def on_one_thread() -> None:
    """Let FAISS search in the calling thread only.

    A single query takes no longer than synchronising the threads (GNU OpenMP) would, and these would compete
    with the engine's threads.
    """
    import faiss

    faiss.omp_set_num_threads(1)


def on_all_threads() -> None:
    """Let FAISS build an index with all processors; in a forked process, with one thread."""
    import faiss

    faiss.omp_set_num_threads(available_threads() if os.getpid() == _first_process else 1)


def _one_thread_after_a_fork() -> None:
    # FAISS's threads do not survive a fork; a child that uses more than one would wait forever.
    if "faiss" in sys.modules:
        on_one_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread_after_a_fork)
