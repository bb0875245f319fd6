"""Judged candidates with their logits: what calibration and tuning are learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import Candidate
from crossrank.evaluation.collection import Collection
from crossrank.evaluation.experiment import rerank_candidates
from crossrank.evaluation.measures import RELEVANT_FROM
from crossrank.inference.interpolation import EvidenceWeights
from crossrank.ranking.reranker import Reranker
from crossrank.search import DEFAULT_TOP_N


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query's candidates that the model can read, in first-stage order.

    Attributes:
        query: The query's id.
        candidates: The candidates.
        logits: The model's logit for each, float64 [n].
        relevant: Whether each is judged relevant, [n]. One without a judgement counts as not relevant.
    """

    query: str
    candidates: tuple[Candidate, ...]
    logits: NDArray[np.float64]
    relevant: NDArray[np.bool_]

    def sums(self, weights: EvidenceWeights | None) -> NDArray[np.float64]:
        """What the candidates are ranked by with these weights; None: by the logit alone."""
        if weights is None:
            return self.logits
        pairs = zip(self.logits.tolist(), self.candidates, strict=True)
        return np.array([weights.combine(logit, one.evidence) for logit, one in pairs])

    def best(self, weights: EvidenceWeights | None) -> tuple[list[float], list[bool]]:
        """What the best candidates are ranked by, and whether they are relevant: the hits that people see.

        Args:
            weights: See :meth:`sums`.

        Returns:
            Of as many candidates as a search returns by default.
        """
        sums = self.sums(weights)
        order = np.argsort(-sums, kind="stable")[:DEFAULT_TOP_N]
        return sums[order].tolist(), self.relevant[order].tolist()


def judged_queries(
    collection: Collection,
    found: Mapping[str, Sequence[Candidate]],
    reranker: Reranker,
    *,
    candidates: int,
    progress: Callable[[int], object] | None = None,
) -> list[JudgedQuery]:
    """Score the best candidates of each query.

    Args:
        collection: The queries and their judgements.
        found: Query id to candidates, from :func:`~crossrank.evaluation.experiment.retrieve_candidates`.
        reranker: The reranker, whose weights do not matter here.
        candidates: How many candidates to score per query.
        progress: Called with the number of candidates scored since the last call.

    Returns:
        The queries that are judged, in the collection's order, each with its scored candidates.
    """
    rankings = rerank_candidates(collection, found, reranker, candidates=candidates, progress=progress)
    judged = []
    for query, ranking in rankings.items():
        grades = collection.qrels[query]
        hits = sorted((hit for hit in ranking if hit.logit is not None), key=lambda hit: hit.candidate.rank)
        judged.append(
            JudgedQuery(
                query,
                tuple(hit.candidate for hit in hits),
                np.array([hit.logit for hit in hits], np.float64),
                np.array([grades.get(hit.document.id, 0) >= RELEVANT_FROM for hit in hits], bool),
            )
        )
    return judged


def shared_evidence(judged: Sequence[JudgedQuery]) -> set[str]:
    """The kinds of evidence that all candidates have."""
    return set.intersection(*(set(one.evidence) for query in judged for one in query.candidates))
