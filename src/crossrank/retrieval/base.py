"""The interfaces of a first stage and its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, get_args, runtime_checkable

from crossrank.documents import Candidate
from crossrank.errors import InputError
from crossrank.inference import Similarity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from crossrank.inference.interpolation import Interpolation

Retrieval: TypeAlias = Literal["hybrid", "dense", "lexical"]
"""The first stages by name: by words (``lexical``), by vectors (``dense``), or both fused."""


@runtime_checkable
class Retriever(Protocol):
    """A first stage: finds the passages that are worth reranking.

    :class:`crossrank.retrieval.memory.MemoryRetriever` and :class:`crossrank.Index` are retrievers, and so is
    any object with this method. A retriever with models to load may also have a method ``load()``, which
    :class:`crossrank.Searcher` calls while the cross-encoder loads. If its candidates have similarities, it
    should have an attribute ``embedder`` (an :class:`Embedder`), so that a model's weights can be rescaled
    for them.

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
        """Return the best ``k`` or fewer candidates, best first, with ranks from 1.

        Args:
            query: The question.
            k: The maximum number of candidates.
            filters: Conditions on the documents' metadata, such as ``year>=2020``; all of them must hold.

        Raises:
            InputError: ``k`` is below 1, or the filters cannot be used.
        """


@runtime_checkable
class Tuned(Protocol):
    """A first stage that keeps how much a model's logit counts next to its evidence (docs/scores.md)."""

    def interpolations(self) -> Mapping[str, Interpolation]:
        """The learnt weights by the fingerprint of the cross-encoder; usually none."""


@runtime_checkable
class Embedder(Protocol):
    """A bi-encoder: turns queries and passages into vectors that can be compared."""

    @property
    def similarity(self) -> Similarity:
        """How to compare the model's vectors."""

    @property
    def fingerprint(self) -> str:
        """Identifies the model that computed a vector."""

    def encode_queries(self, texts: list[str], /) -> NDArray[np.float32]:
        """One vector per query, shape [n, d]."""

    def encode_documents(
        self, texts: list[str], /, *, progress: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """One vector per passage, shape [n, d]; ``progress`` gets the number done since the last call."""


class Scored(NamedTuple):
    """The number of a passage, and its score in one search; higher is better."""

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
    """Check the number of candidates.

    Raises:
        InputError: ``k`` is below 1.
    """
    if k < 1:
        raise InputError(f"k, the number of candidates, must be at least 1; it is {k}")


def check_retrieval(retrieval: str, lexical_weight: float) -> None:
    """Check the options of a search.

    Raises:
        InputError: The first stage does not exist, or the weight is not above 0.
    """
    if retrieval not in get_args(Retrieval):
        raise InputError(f"retrieval must be one of {', '.join(get_args(Retrieval))}; it is {retrieval!r}")
    if not 0 < lexical_weight < float("inf"):
        raise InputError(f"lexical_weight must be above 0; it is {lexical_weight}")
