"""What every first stage takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from crossrank.errors import InputError
from crossrank.inference import Similarity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Retrieval: TypeAlias = Literal["hybrid", "dense", "lexical"]
"""The first stages by name: by words (``lexical``), by vectors (``dense``), or both fused."""


_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One passage that a first stage found.

    Attributes:
        position: Where the passage stands among those indexed, from 0.
        score: What the first stage gave it, on the first stage's own scale; higher is better.
        similarity: How near its vector is to the query's, as the bi-encoder compares them; None where the
            first stage has no vectors.
        word_match: BM25 as a share of the best passage's, from 0 to 1; None where nobody asked for it.
        ranks: Where several first stages were fused, the rank that each gave it, from 1, by their names.
    """

    position: int
    score: float
    similarity: float | None = None
    word_match: float | None = None
    ranks: Mapping[str, int] = field(default_factory=lambda: _NOTHING, hash=False)


class FirstStage(Protocol):
    """Finds the passages that are worth reranking."""

    def search(self, query: str, k: int) -> list[Candidate]:
        """The best ``k`` candidates or fewer, best first; those with equal scores by position."""

    def search_many(self, queries: Sequence[str], k: int) -> list[list[Candidate]]:
        """What ``search`` gives for each of the queries."""


class BiEncoderLike(Protocol):
    """Turns queries and passages into vectors that can be compared."""

    @property
    def similarity(self) -> Similarity:
        """How the model's vectors are meant to be compared."""

    def encode_queries(self, texts: list[str], /) -> NDArray[np.float32]:
        """One vector a query, shape [n, d]."""

    def encode_documents(
        self, texts: list[str], /, *, progress: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """One vector a passage, shape [n, d]; ``progress`` is told how many are done since the last call."""


def check_k(k: int) -> None:
    """Refuse to look for fewer than one candidate.

    Raises:
        InputError: ``k`` is below 1.
    """
    if k < 1:
        raise InputError(f"k, the number of candidates, must be at least 1; it is {k}")
