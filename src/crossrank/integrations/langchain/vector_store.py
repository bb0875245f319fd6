"""A LangChain vector store in memory, with the similarity that the embedder was trained for."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.inference import Similarity
from crossrank.integrations.langchain.embeddings import HuggingFaceEmbeddings
from crossrank.integrations.langchain.filters import Filter, metadata_test
from crossrank.integrations.langchain.saving import Saved, check_same_embedder, read_saved, write_saved
from crossrank.retrieval.base import check_k
from crossrank.retrieval.dense import DenseIndex

# By the names in crossrank and in LangChain's DistanceStrategy.
_SIMILARITIES: dict[str, Similarity] = {
    "cosine": "cosine",
    "dot": "dot",
    "dot_product": "dot",
    "max_inner_product": "dot",
    "euclidean": "euclidean",
    "euclidean_distance": "euclidean",
}
# Number of texts embedded at a time: LangChain's lists of floats take eight times the memory of vectors.
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class _Row:
    document: Document
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A consistent snapshot for a search, while documents may be added or deleted."""

    rows: list[_Row]
    index: DenseIndex


class FAISS(VectorStore):
    """A vector store in memory with exact search. Thread-safe.

    Scores are similarities, so higher is better: the cosine, the dot product, or the negated distance.

    Args:
        embedding_function: Any LangChain embeddings.
        relevance_score_fn: The function from a score to a relevance between 0 and 1, for
            ``search_type="similarity_score_threshold"``.
        normalize_L2: Use cosine similarity.
        distance_strategy: ``cosine``, ``dot`` or ``euclidean``, or LangChain's ``DistanceStrategy``; by
            default the embedder's own similarity, or the cosine if it is unknown.

    Raises:
        InputError: The strategy does not exist.

    Example:
        >>> store = FAISS.from_texts(["A tide table.", "Bakers bake bread."], HuggingFaceEmbeddings())
        >>> document, score = store.similarity_search_with_score("Who bakes bread?", k=1)[0]
        >>> document.page_content, score > 0.5
        ('Bakers bake bread.', True)
    """

    def __init__(
        self,
        embedding_function: Embeddings,
        *,
        relevance_score_fn: Callable[[float], float] | None = None,
        normalize_L2: bool = False,  # noqa: N803 (the archived class's name)
        distance_strategy: str | None = None,
    ) -> None:
        self.embedding_function = embedding_function
        self.similarity = "cosine" if normalize_L2 else _similarity(embedding_function, distance_strategy)
        self._relevance_score_fn = relevance_score_fn
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}
        self._snapshot: _Snapshot | None = None

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Create a store from texts; ``kwargs`` are passed to the class, the others to :meth:`add_texts`."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @property
    def embeddings(self) -> Embeddings:
        """The embedder."""
        return self.embedding_function

    def __len__(self) -> int:
        return len(self._rows)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and add texts.

        Args:
            texts: The texts.
            metadatas: One dictionary per text.
            ids: One id per text. An existing id replaces the document; None generates an id.
            kwargs: Not used.

        Returns:
            The ids.

        Raises:
            InputError: The numbers of texts, metadatas and ids differ, an id occurs twice, or the vectors
                have another dimension than the existing ones.
        """
        documents = _documents(texts, metadatas, ids)
        rows: dict[str, _Row] = {}
        for start in range(0, len(documents), _CHUNK):
            part = documents[start : start + _CHUNK]
            rows.update(self._embedded(part))
        self._put(rows)
        return list(rows)

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents by id; unknown ids are ignored.

        Raises:
            InputError: No ids are given.
        """
        if ids is None:
            raise InputError("delete needs ids; for an empty store make a new one")
        with self._lock:
            for id_ in ids:
                self._rows.pop(id_, None)
            self._snapshot = None
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents by id, in the same order; unknown ids are ignored."""
        with self._lock:
            found = [self._rows[id_] for id_ in ids if id_ in self._rows]
        return [_copy(row.document) for row in found]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The ``k`` documents nearest to a question; options: see :meth:`similarity_search_with_score`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """The ``k`` documents nearest to a vector; options: see :meth:`similarity_search_with_score`."""
        found = self.similarity_search_with_score_by_vector(embedding, k, **kwargs)
        return [document for document, _ in found]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The ``k`` documents nearest to a question, and their scores.

        Args:
            query: The question.
            k: The number of documents.
            kwargs: ``filter``, on the metadata (see :mod:`.filters`); all documents that match are compared.
                ``score_threshold``: the minimum score.

        Raises:
            InputError: ``k`` is below 1, or the filter cannot be used.
        """
        if not self._rows:  # an empty store needs no vector
            check_k(k)
            return []
        embedding = self.embedding_function.embed_query(query)
        return self.similarity_search_with_score_by_vector(embedding, k, **kwargs)

    def similarity_search_with_score_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        filter: Filter | None = None,  # noqa: A002 (LangChain's name)
        fetch_k: int = 20,
        score_threshold: float | None = None,
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """The ``k`` documents nearest to a vector, and their scores; options as above, ``fetch_k`` unused."""
        return [
            (_copy(row.document), score)
            for row, score in self._nearest(embedding, k, filter)
            if score_threshold is None or score >= score_threshold
        ]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Maximal marginal relevance search; see :meth:`max_marginal_relevance_search_by_vector`."""
        embedding = self.embedding_function.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(embedding, k, fetch_k, lambda_mult, **kwargs)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,  # noqa: A002 (LangChain's name)
        **kwargs: Any,
    ) -> list[Document]:
        """Maximal marginal relevance search (Carbonell and Goldstein, 1998).

        Args:
            embedding: The query's vector.
            k: The number of documents.
            fetch_k: The number of nearest documents to choose from.
            lambda_mult: 1 for maximum similarity, 0 for maximum diversity.
            filter: A filter on the metadata.
            kwargs: Not used.
        """
        near = [row for row, _ in self._nearest(embedding, max(k, fetch_k), filter)]
        if not near:
            return []
        query = np.asarray(embedding, np.float32)
        vectors = [row.vector for row in near]
        chosen = maximal_marginal_relevance(query, vectors, lambda_mult, k)  # type: ignore[arg-type]
        return [_copy(near[i].document) for i in chosen]

    def save_local(self, folder_path: str | Path, index_name: str = "index") -> None:
        """Save the store to one file, ``index_name.npz``, atomically and without pickle.

        Args:
            folder_path: The folder; created if it does not exist.
            index_name: The file name without its suffix.

        Raises:
            InputError: Metadata cannot be saved as JSON, or the file cannot be written.
        """
        with self._lock:
            rows = list(self._rows.values())
        vectors = np.stack([row.vector for row in rows]) if rows else np.empty((0, 0), np.float32)
        saved = Saved(self.similarity, [row.document for row in rows], vectors)
        write_saved(Path(folder_path), index_name, saved)

    @classmethod
    def load_local(
        cls,
        folder_path: str | Path,
        embeddings: Embeddings,
        index_name: str = "index",
        *,
        allow_dangerous_deserialization: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Load a store that :meth:`save_local` wrote.

        Args:
            folder_path: The folder.
            embeddings: The embedder that the store was made with. For an embedder of crossrank, this is
                checked by embedding the first document again.
            index_name: The file name without its suffix.
            allow_dangerous_deserialization: Not used: loading is always safe.
            kwargs: Passed to the class; the strategy is the saved one by default.

        Raises:
            InputError: The file does not exist, is damaged, was written by LangChain's class as pickle (which
                is never opened), or was made with another embedder.
        """
        saved = read_saved(Path(folder_path), index_name)
        store = cls(embeddings, **{"distance_strategy": saved.similarity, **kwargs})
        if saved.documents and isinstance(embeddings, HuggingFaceEmbeddings):
            again = np.asarray(embeddings.embed_documents([saved.documents[0].page_content])[0], np.float32)
            check_same_embedder(saved.vectors[0], again)
        store._put(
            {
                str(document.id): _Row(document, vector)
                for document, vector in zip(saved.documents, saved.vectors, strict=True)
            }
        )
        return store

    def _embedded(self, documents: list[Document]) -> dict[str, _Row]:
        texts = [document.page_content for document in documents]
        vectors = np.asarray(self.embedding_function.embed_documents(texts), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(documents):
            raise InputError(
                f"the embedder gave vectors of shape {list(vectors.shape)} for {len(texts)} texts"
            )
        # Checked now instead of at the first search, which builds the index.
        if not np.isfinite(vectors).all():
            raise InputError("the embedder gave a vector that holds NaN or infinity; check the model")
        return {str(document.id): _Row(document, vectors[i]) for i, document in enumerate(documents)}

    def _put(self, rows: dict[str, _Row]) -> None:
        with self._lock:
            sizes = {len(row.vector) for row in (*rows.values(), *list(self._rows.values())[:1])}
            if len(sizes) > 1:
                raise InputError(
                    f"vectors have {' and '.join(map(str, sorted(sizes)))} dimensions; "
                    "one store takes the vectors of one embedder"
                )
            self._rows.update(rows)
            self._snapshot = None

    def _now(self) -> _Snapshot | None:
        with self._lock:
            if self._snapshot is None and self._rows:
                rows = list(self._rows.values())
                vectors = np.stack([row.vector for row in rows])
                self._snapshot = _Snapshot(rows, DenseIndex(vectors, similarity=self.similarity))
            return self._snapshot

    def _nearest(self, embedding: list[float], k: int, filter_: Filter | None) -> list[tuple[_Row, float]]:
        check_k(k)
        test = None if filter_ is None else metadata_test(filter_)
        snapshot = self._now()
        if snapshot is None:
            return []
        vector = np.asarray(embedding, np.float32)
        fetched = k
        while True:
            found = [(snapshot.rows[place], score) for place, score in snapshot.index.search(vector, fetched)]
            passed = [one for one in found if test is None or test(one[0].document.metadata)][:k]
            if len(passed) == k or len(found) < fetched or fetched >= len(snapshot.rows):
                return passed
            fetched *= 4

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        if self._relevance_score_fn is not None:
            return self._relevance_score_fn
        if self.similarity == "cosine":
            return lambda cosine: min(max(cosine, 0.0), 1.0)
        if self.similarity == "euclidean":
            return lambda negated: 1 / (1 - negated)
        raise InputError(
            "dot products have no scale from 0 to 1; give FAISS a relevance_score_fn, a score_threshold in "
            "search_kwargs (on the dot product), or CrossEncoderReranker a score_threshold"
        )


def _similarity(embedding: Embeddings, strategy: str | None) -> Similarity:
    named = strategy if strategy is not None else getattr(embedding, "similarity", None)
    if strategy is None and named not in _SIMILARITIES:
        return "cosine"
    name = str(getattr(named, "value", named)).lower()  # a member of an enum, or a string
    if name not in _SIMILARITIES:
        raise InputError(f"distance_strategy must be cosine, dot or euclidean; it is {strategy!r}")
    return _SIMILARITIES[name]


def _documents(
    texts: Iterable[str], metadatas: Sequence[dict[str, Any]] | None, ids: Sequence[str | None] | None
) -> list[Document]:
    if isinstance(texts, str):
        raise InputError("texts must be a list; a single string was given. Write [text] for one text.")
    given = list(texts)
    for what, others in (("metadatas", metadatas), ("ids", ids)):
        if others is not None and len(others) != len(given):
            raise InputError(f"there are {len(given)} texts and {len(others)} {what}")
    documents = [
        Document(
            text,
            id=(ids[i] if ids else None) or str(uuid.uuid4()),
            metadata=dict(metadatas[i] or {}) if metadatas else {},
        )
        for i, text in enumerate(given)
    ]
    if len({document.id for document in documents}) < len(documents):
        raise InputError("an id comes twice among those given; ids name one document each")
    return documents


def _copy(document: Document) -> Document:
    return document.model_copy(update={"metadata": dict(document.metadata)})
