"""Passages in memory as a first stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from crossrank.documents import Candidate, DocumentLike, as_documents
from crossrank.errors import InputError
from crossrank.retrieval.base import Embedder, Retrieval, check_retrieval
from crossrank.retrieval.bm25 import BM25Index
from crossrank.retrieval.dense import DenseIndex
from crossrank.retrieval.hybrid import Passages, find


class MemoryRetriever:
    """A first stage over passages in memory. Thread-safe.

    Args:
        passages: The passages to search.
        retrieval: By words (``lexical``), by vectors (``dense``), or both fused (``hybrid``).
        embedder: The bi-encoder, such as :class:`crossrank.BiEncoder`; not used for ``lexical``.
        lexical_weight: Weight of the lexical ranking in ``hybrid``, relative to the dense one.
        progress: Called with the number of passages embedded since the last call.

    Attributes:
        embedder: The bi-encoder; None for ``lexical``.

    Raises:
        InputError: The first stage does not exist, the embedder is missing, or its vectors contain NaN or
            infinity.
        CrossrankError: Python's SQLite was built without FTS5.

    Example:
        >>> retriever = MemoryRetriever(["Paris is in France.", "Rome is in Italy."], retrieval="lexical")
        >>> [candidate.document.text for candidate in retriever.retrieve("Where is Rome?", 10)]
        ['Rome is in Italy.']
    """

    def __init__(
        self,
        passages: Iterable[DocumentLike],
        *,
        retrieval: Retrieval = "hybrid",
        embedder: Embedder | None = None,
        lexical_weight: float = 1.0,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        check_retrieval(retrieval, lexical_weight)
        self._retrieval: Retrieval = retrieval
        self._lexical_weight = lexical_weight
        documents = as_documents(passages)
        contents = [document.content for document in documents]
        vectors = None
        self.embedder = None if retrieval == "lexical" else embedder
        if retrieval != "lexical":
            if embedder is None:
                raise InputError(f"retrieval {retrieval!r} needs an embedder, such as BiEncoder()")
            encoded = embedder.encode_documents(contents, progress=progress)
            vectors = DenseIndex(encoded, similarity=embedder.similarity)
        self._passages = Passages(
            BM25Index(contents), vectors, lambda numbers: [documents[number] for number in numbers]
        )

    def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
        """Return the best ``k`` or fewer passages, best first; see :func:`crossrank.retrieval.hybrid.find`.

        Raises:
            InputError: ``k`` is below 1, or filters were given; they need an index.
        """
        if filters:
            raise InputError("filters need an index; make one with crossrank index add, or leave them out")
        return find(
            self._passages,
            query,
            k,
            retrieval=self._retrieval,
            embedder=self.embedder,
            lexical_weight=self._lexical_weight,
        )
