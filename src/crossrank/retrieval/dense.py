"""Dense search in memory: exact nearest vectors with NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.inference import Similarity
from crossrank.inference.vectors import nearest, prepared, similarities
from crossrank.retrieval.base import Scored, check_k

# Rows that are compared at a time, for bounded memory.
_ROWS = 65_536


class DenseIndex:
    """A vector index in memory, with exact nearest-neighbour search.

    The query is compared with every vector: quickly in float32, and then those that may be among the nearest
    again in float64. This takes about as long as FAISS's flat index, which takes 0.1 s to import.

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
        if vectors.ndim != 2:
            raise InputError(f"vectors must have the shape [n, d]; theirs is {list(vectors.shape)}")
        self._similarity: Similarity = similarity
        rows = prepared(vectors, similarity)
        self._rows = rows.copy() if np.may_share_memory(rows, vectors) else rows
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        self._longest = float(np.sqrt(squares.max(initial=0)))

    def search(self, vector: NDArray[np.float32], k: int) -> list[Scored]:
        """Find the passages nearest to a vector.

        Args:
            vector: The query's vector, shape [d], float32.
            k: The maximum number of passages.

        Returns:
            min(k, n) passages by position, best first, ties ordered by position. Scores are those of
            :meth:`similarities`.

        Raises:
            InputError: ``k`` is below 1, the vector's dimension differs from the index's, or the vector
                contains NaN or infinity.
        """
        check_k(k)
        size, dimension = self._rows.shape
        if size == 0:
            return []
        if vector.shape != (dimension,):
            raise InputError(
                f"the query's vector must have the shape [{dimension}], as the indexed vectors have; "
                f"its shape is {list(vector.shape)}. Encode both with the same model"
            )
        query, k = prepared(vector[np.newaxis], self._similarity)[0], min(k, size)
        parts = range(0, size, _ROWS)
        rough = np.concatenate(
            [nearest(self._rows[start : start + _ROWS], query, self._similarity) for start in parts]
        )
        worst = np.partition(rough, size - k)[size - k]
        # float32 sums are off by at most this. The rest is certainly further away than the k nearest.
        scale = abs(worst) if self._similarity == "euclidean" else self._longest * np.linalg.norm(query)
        error = 2 * dimension * np.finfo(np.float32).eps * scale
        near = np.flatnonzero(rough >= worst - error)
        scores = np.array(similarities(self._rows[near], query, self._similarity))
        order = np.lexsort((near, -scores))[:k]
        return [Scored(int(near[place]), float(scores[place])) for place in order]

    def similarities(self, vector: NDArray[np.float32], passages: Sequence[int]) -> dict[int, float]:
        """The similarity of given passages to a query's vector, shape [d]; see :func:`similarities`."""
        if not passages:
            return {}
        query = prepared(vector[np.newaxis], self._similarity)[0]
        rows = self._rows[list(passages)]
        return dict(zip(passages, similarities(rows, query, self._similarity), strict=True))
