"""How the vectors of a bi-encoder are compared, everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossrank.errors import InputError
from crossrank.inference import Similarity


def prepared(vectors: ArrayLike, similarity: Similarity) -> NDArray[np.float32]:
    """Vectors prepared for FAISS: finite float32 rows, of length 1 for the cosine.

    Raises:
        InputError: A vector contains NaN or infinity.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise InputError(
            f"vector {int(np.argmin(finite))} holds NaN or infinity; check the model that made it"
        )
    if similarity != "cosine":
        return rows
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return (rows / np.where(lengths == 0, 1, lengths)[:, np.newaxis]).astype(np.float32)


def nearest(
    rows: NDArray[np.float32], query: NDArray[np.float32], similarity: Similarity
) -> NDArray[np.float32]:
    """The score of each row, shape [n], for one query, shape [d]; both are ``prepared``."""
    if similarity == "euclidean":
        return np.asarray(-np.linalg.norm(rows - query, axis=1))
    return np.asarray(rows @ query)


def similarities(
    rows: NDArray[np.float32], query: NDArray[np.float32], similarity: Similarity
) -> list[float]:
    """The similarity of each row, shape [n, d], to one query, shape [d]; both are ``prepared``.

    Computed in float64 and rounded to float32, so that a passage's similarity does not depend on where its
    vector is stored or which other passages are compared.
    """
    wide, narrow = np.asarray(rows, np.float64), np.asarray(query, np.float64)
    exact = -np.linalg.norm(wide - narrow, axis=1) if similarity == "euclidean" else wide @ narrow
    numbers: list[float] = exact.astype(np.float32).tolist()
    return numbers
