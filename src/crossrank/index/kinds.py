"""How the vectors of the FAISS file are stored: as they are, or rounded to int8 or to a bit a number.

Rounded vectors find more candidates than are wanted, which are then scored with the vectors in SQLite.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from crossrank.errors import InputError

VectorKind: TypeAlias = Literal["float32", "int8", "binary"]

# Links per vector of HNSW, and candidates while it is built: Malkov and Yashunin (2016),
# https://arxiv.org/abs/1603.09320.
_LINKS, _BUILD_CANDIDATES = 32, 80
# How many times as many candidates are scored again as are wanted: int8 is nearly exact, a bit is not.
RESCORED: dict[VectorKind, int] = {"float32": 1, "int8": 2, "binary": 10}


def check_kind(kind: str, similarity: str) -> None:
    """Refuse what is no kind, or does not fit the similarity.

    Raises:
        InputError: It is none.
    """
    if kind not in get_args(VectorKind):
        raise InputError(f"vectors must be one of {', '.join(get_args(VectorKind))}; they are {kind!r:.40}")
    if kind == "binary" and similarity == "euclidean":
        raise InputError(
            "vectors cannot be binary: the embedding model compares by distance, which bits lack"
        )


def empty(kind: str, dimension: int, similarity: str, *, approximate: bool) -> Any:
    """An empty FAISS index of a kind, not yet trained."""
    import faiss

    metric = metric_of(similarity)
    if kind == "binary":
        return faiss.IndexLSH(dimension, dimension, False, False)
    if kind == "int8":
        eight: Any = faiss.ScalarQuantizer.QT_8bit
        if not approximate:
            return faiss.IndexScalarQuantizer(dimension, eight, metric)
        graph: Any = faiss.IndexHNSWSQ(dimension, eight, _LINKS, metric)
    elif not approximate:
        return faiss.IndexFlatL2(dimension) if similarity == "euclidean" else faiss.IndexFlatIP(dimension)
    else:
        graph = faiss.IndexHNSWFlat(dimension, _LINKS, metric)
    graph.hnsw.efConstruction = _BUILD_CANDIDATES
    return graph


def is_of_kind(inner: Any, kind: str, similarity: str) -> bool:
    """Whether a FAISS index is one that :func:`empty` makes."""
    import faiss

    if kind == "binary":
        return isinstance(inner, faiss.IndexLSH)
    kinds: dict[str, tuple[Any, ...]] = {
        "float32": (faiss.IndexFlat, faiss.IndexHNSWFlat),
        "int8": (faiss.IndexScalarQuantizer, faiss.IndexHNSWSQ),
    }
    return isinstance(inner, kinds[kind]) and bool(inner.metric_type == metric_of(similarity))


def metric_of(similarity: str) -> int:
    """FAISS's metric for a similarity."""
    import faiss

    return int(faiss.METRIC_L2 if similarity == "euclidean" else faiss.METRIC_INNER_PRODUCT)
