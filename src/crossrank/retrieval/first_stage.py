"""The three first stages: by words, by vectors, and by both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from crossrank.documents import Document
from crossrank.retrieval.base import BiEncoderLike, Candidate, FirstStage, check_k
from crossrank.retrieval.bm25 import BM25Index
from crossrank.retrieval.dense import DenseIndex
from crossrank.retrieval.fusion import reciprocal_rank_fusion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FUSED_DEPTH = 100
"""How deep each search goes before two are fused, where no more are asked for."""


class LexicalFirstStage:
    """Finds passages that share words with the query; needs no model. Scores are BM25.

    Args:
        documents: The passages.

    Attributes:
        words: The passages' words.

    Raises:
        CrossrankError: This Python's SQLite lacks FTS5.

    Example:
        >>> first_stage = LexicalFirstStage([Document("a", "Paris is in France."), Document("b", "Rome.")])
        >>> [candidate.position for candidate in first_stage.search("Rome", k=10)]
        [1]
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self.words = BM25Index([document.content for document in documents])

    def search(self, query: str, k: int) -> list[Candidate]:
        """The best ``k`` candidates or fewer, best first; InputError for ``k`` below 1."""
        return self.words.search(query, k)

    def search_many(self, queries: Sequence[str], k: int) -> list[list[Candidate]]:
        """What ``search`` gives for each of the queries."""
        return [self.search(query, k) for query in queries]


class _EncodesQueriesTogether(ABC):
    @abstractmethod
    def search_many(self, queries: Sequence[str], k: int) -> list[list[Candidate]]: ...

    def search(self, query: str, k: int) -> list[Candidate]:
        """The best ``k`` candidates or fewer, best first; InputError for ``k`` below 1."""
        return self.search_many([query], k)[0]


class DenseFirstStage(_EncodesQueriesTogether):
    """Finds passages whose vectors are near the query's, whatever their words. Scores are the similarity.

    Args:
        documents: The passages; all are encoded here.
        bi_encoder: The model that encodes passages and queries.
        progress: Called with the number of passages encoded since the last call.

    Attributes:
        index: The passages' vectors.

    Raises:
        InputError: The model gives vectors that hold NaN or infinity.

    Example:
        >>> first_stage = DenseFirstStage(passages, bi_encoder)  # doctest: +SKIP
        >>> first_stage.search("What is the capital of France?", k=10)  # doctest: +SKIP
        [Candidate(position=0, score=0.87, similarity=0.87, ...), ...]
    """

    def __init__(
        self,
        documents: Sequence[Document],
        bi_encoder: BiEncoderLike,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        vectors = bi_encoder.encode_documents([document.content for document in documents], progress=progress)
        self._bi_encoder = bi_encoder
        self.index = DenseIndex(vectors, similarity=bi_encoder.similarity)

    def search_many(self, queries: Sequence[str], k: int) -> list[list[Candidate]]:
        """What ``search`` gives for each of the queries, which are encoded together."""
        check_k(k)
        return [self.index.search_vector(vector, k) for vector in self.encode(queries)]

    def encode(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """The queries' vectors, shape [n, d]."""
        return self._bi_encoder.encode_queries(list(queries))


class HybridFirstStage(_EncodesQueriesTogether):
    """Finds passages by words and by vectors. Scores are those of reciprocal rank fusion.

    Each search goes to rank 100, or to ``k`` where that is deeper, before the two are fused.

    Args:
        documents: The passages; all are encoded here.
        bi_encoder: The model that encodes passages and queries.
        lexical_weight: How much a rank by words counts beside a rank by vectors.
        progress: Called with the number of passages encoded since the last call.

    Attributes:
        words: The passages' words.

    Raises:
        CrossrankError: This Python's SQLite lacks FTS5.
        InputError: The model gives vectors that hold NaN or infinity.

    Example:
        >>> first_stage = HybridFirstStage(passages, bi_encoder)  # doctest: +SKIP
        >>> first_stage.search("What is the capital of France?", k=10)  # doctest: +SKIP
        [Candidate(position=0, score=0.0328, similarity=0.87, ranks={...}), ...]
    """

    def __init__(
        self,
        documents: Sequence[Document],
        bi_encoder: BiEncoderLike,
        *,
        lexical_weight: float = 1.0,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        self._weights = {"lexical": lexical_weight}
        self._lexical = LexicalFirstStage(documents)
        self.words = self._lexical.words
        self._dense = DenseFirstStage(documents, bi_encoder, progress=progress)

    def search_many(self, queries: Sequence[str], k: int) -> list[list[Candidate]]:
        """What ``search`` gives for each of the queries, which are encoded together."""
        check_k(k)
        depth = max(k, FUSED_DEPTH)
        lexical, vectors = self._lexical.search_many(queries, depth), self._dense.encode(queries)
        dense = [self._dense.index.search_vector(vector, depth) for vector in vectors]
        return [
            self._with_similarities(
                reciprocal_rank_fusion({"lexical": words, "dense": near}, weights=self._weights)[:k], vector
            )
            for words, near, vector in zip(lexical, dense, vectors, strict=True)
        ]

    def _with_similarities(self, found: list[Candidate], vector: NDArray[np.float32]) -> list[Candidate]:
        """What only BM25 found has a vector, too."""
        similarities = self._dense.index.similarities(vector, [candidate.position for candidate in found])
        return [replace(c, similarity=value) for c, value in zip(found, similarities, strict=True)]


def words_of(documents: Sequence[Document], stage: FirstStage) -> BM25Index:
    """The passages' words: those that a first stage has, or made now, in far less time than vectors take."""
    if isinstance(stage, (LexicalFirstStage, HybridFirstStage)):
        return stage.words
    return BM25Index([document.content for document in documents])
