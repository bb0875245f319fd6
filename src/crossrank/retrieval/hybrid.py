"""The search of the first stage, the same in memory and in an index: by words, by vectors, or by both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from crossrank.documents import SIMILARITY, WORD_MATCH, Candidate, Document
from crossrank.retrieval.base import Embedder, Retrieval, Vectors, Words, check_k
from crossrank.retrieval.bm25 import word_matches
from crossrank.retrieval.fusion import Fused, reciprocal_rank_fusion

FUSED_DEPTH = 100
"""How many passages each search returns before fusion, unless more are asked for."""


@dataclass(frozen=True, slots=True)
class Passages:
    """The passages to search, in memory or in an index; each is identified by a number.

    Attributes:
        words: Search by words.
        vectors: Search by vectors; None if there are no vectors.
        documents: From numbers to documents, in the same order.
        in_order: Sorts numbers in the order in which ties are ranked.
    """

    words: Words
    vectors: Vectors | None
    documents: Callable[[Sequence[int]], list[Document]]
    in_order: Callable[[Iterable[int]], list[int]] = sorted


def find(
    passages: Passages,
    query: str,
    k: int,
    *,
    retrieval: Retrieval,
    embedder: Embedder | None,
    lexical_weight: float = 1.0,
) -> list[Candidate]:
    """Return the best ``k`` or fewer passages, best first, with their scores and evidence.

    Scores are BM25 (``lexical``), similarities (``dense``), or the scores of reciprocal rank fusion
    (``hybrid``), for which each search goes down to rank 100, or to ``k`` if that is more. Every candidate
    has its word match, and its similarity if there are vectors, no matter which search found it.

    Args:
        passages: The passages to search.
        query: The question; nothing in it is read as query syntax.
        k: The maximum number of passages.
        retrieval: By words, by vectors, or both.
        embedder: The embedder that computed the vectors; None for ``lexical``.
        lexical_weight: Weight of the lexical ranking in ``hybrid``, relative to the dense one.

    Raises:
        InputError: ``k`` is below 1.
    """
    check_k(k)
    vector = None if embedder is None else embedder.encode_queries([query])[0]
    depth = max(k, FUSED_DEPTH) if retrieval == "hybrid" else k
    found: dict[str, dict[int, float]] = {}
    if retrieval != "dense":
        found["lexical"] = dict(passages.words.search(query, depth))
    if passages.vectors is not None and vector is not None:
        near = [passage for passage, _ in passages.vectors.search(vector, depth)]
        found["dense"] = passages.vectors.similarities(vector, near)

    best = _best(found, passages.in_order, depth, lexical_weight)[:k]
    chosen = [passage for passage, _, _ in best]
    evidence = {WORD_MATCH: _word_matches(passages.words, query, chosen, found.get("lexical"))}
    if passages.vectors is not None and vector is not None:
        missing = [passage for passage in chosen if passage not in found["dense"]]
        evidence[SIMILARITY] = found["dense"] | passages.vectors.similarities(vector, missing)
    return [
        Candidate(
            document,
            rank,
            score,
            ranks,
            evidence={name: known[passage] for name, known in sorted(evidence.items())},
            embedder="" if embedder is None else embedder.fingerprint,
        )
        for rank, (document, (passage, score, ranks)) in enumerate(
            zip(passages.documents(chosen), best, strict=True), start=1
        )
    ]


def _word_matches(
    words: Words, query: str, chosen: Sequence[int], found: Mapping[int, float] | None
) -> dict[int, float]:
    """Each passage's word match, from its lexical score; computed here if only vectors found it."""
    known = dict(words.search(query, 1)) if found is None else dict(found)
    known |= words.scores(query, [passage for passage in chosen if passage not in known])
    return dict.fromkeys(chosen, 0.0) | word_matches(known)


def _best(
    found: Mapping[str, Mapping[int, float]],
    in_order: Callable[[Iterable[int]], list[int]],
    depth: int,
    lexical_weight: float,
) -> list[Fused]:
    """The passages that were found, best first, ties in order; two searches are fused."""
    order = in_order({passage for scores in found.values() for passage in scores})
    places = {passage: place for place, passage in enumerate(order)}
    ranked = {
        name: sorted((-score, places[passage]) for passage, score in scores.items())[:depth]
        for name, scores in found.items()
    }
    if len(ranked) == 1:
        (alone,) = ranked.values()
        return [Fused(order[place], -descending, {}) for descending, place in alone]
    rankings = {name: [place for _, place in row] for name, row in ranked.items()}
    fused = reciprocal_rank_fusion(rankings, weights={"lexical": lexical_weight})
    return [Fused(order[place], score, ranks) for place, score, ranks in fused]
