"""What every first stage takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, get_args, runtime_checkable

from crossrank.documents import Candidate
from crossrank.errors import InputError
from crossrank.inference import Similarity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Retrieval: TypeAlias = Literal["hybrid", "dense", "lexical"]
"""The first stages by name: by words (``lexical``), by vectors (``dense``), or both fused."""


@runtime_checkable
class Retriever(Protocol):
    """A first stage: finds the passages that are worth reranking.

    Passages in memory (:class:`crossrank.retrieval.memory.MemoryRetriever`) and :class:`crossrank.Index` are
    retrievers, and so is anything else with this one method. What has models to load may also have a method
    ``load()``, which :class:`crossrank.Searcher` calls while the cross-encoder loads.

    Example:
        >>> from crossrank import Candidate, Document, Searcher
        >>> class Newest:
        ...     def retrieve(self, query, k, *, filters=()):
        ...         texts = ["Bakers bake bread.", "A tide table."]
        ...         return [Candidate(Document(text, text), rank) for rank, text in enumerate(texts[:k], 1)]
        >>> Searcher(Newest()).search("When is high water?", top_n=1)[0].text
        'A tide table.'
    """

    def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
        """The best ``k`` candidates or fewer, best first, with ranks from 1 and all that is known of them.

        Args:
            query: The question.
            k: How many at most.
            filters: Conditions on the documents' metadata, such as ``year>=2020``, all of which must hold.

        Raises:
            InputError: ``k`` is below 1, or the filters cannot be used.
        """


class Embedder(Protocol):
    """A bi-encoder: turns queries and passages into vectors that can be compared."""

    @property
    def similarity(self) -> Similarity:
        """How the model's vectors are meant to be compared."""

    @property
    def fingerprint(self) -> str:
        """Says whose vectors they are."""

    def encode_queries(self, texts: list[str], /) -> NDArray[np.float32]:
        """One vector a query, shape [n, d]."""

    def encode_documents(
        self, texts: list[str], /, *, progress: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """One vector a passage, shape [n, d]; ``progress`` is told how many are done since the last call."""


class Scored(NamedTuple):
    """A passage by its number, and its score in one search; higher is better."""

    passage: int
    score: float


class Words(Protocol):
    """Passages that can be searched by their words; scores are BM25, above 0."""

    def search(self, query: str, k: int) -> Sequence[Scored]:
        """The best ``k`` or fewer; more only where they tie with the last."""

    def scores(self, query: str, passages: Sequence[int]) -> dict[int, float]:
        """The scores of these passages; those without any of the words are left out."""


class Vectors(Protocol):
    """Passages that can be searched by their vectors; scores are similarities."""

    def search(self, vector: NDArray[np.float32], k: int) -> Sequence[Scored]:
        """The nearest ``k`` or fewer; more only where they tie with the last."""

    def similarities(self, vector: NDArray[np.float32], passages: Sequence[int]) -> dict[int, float]:
        """The similarity of each of these passages to a query's vector, shape [d]."""


def check_k(k: int) -> None:
    """Refuse to look for fewer than one candidate.

    Raises:
        InputError: ``k`` is below 1.
    """
    if k < 1:
        raise InputError(f"k, the number of candidates, must be at least 1; it is {k}")


def check_retrieval(retrieval: str, lexical_weight: float) -> None:
    """Refuse a way to search that there is not.

    Raises:
        InputError: There is no such first stage, or the weight is not above 0.
    """
    if retrieval not in get_args(Retrieval):
        raise InputError(f"retrieval must be one of {', '.join(get_args(Retrieval))}; it is {retrieval!r}")
    if not 0 < lexical_weight < float("inf"):
        raise InputError(f"lexical_weight must be above 0; it is {lexical_weight}")
