"""Learn how much a model's logit should count next to a first stage's evidence, and whether at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.errors import InputError
from crossrank.evaluation.calibrating import FEWEST, calibrate, fit
from crossrank.evaluation.compare import Comparison, compare
from crossrank.evaluation.experiment import run_of
from crossrank.evaluation.judged import JudgedQuery, shared_evidence
from crossrank.evaluation.listwise import listwise_weights
from crossrank.evaluation.measures import Evaluation, evaluate_run
from crossrank.evaluation.qrels import Qrels
from crossrank.inference.interpolation import EvidenceWeights, Interpolation

Values = NDArray[np.float64]

_FOLDS = 5
_SEED = 0
_DEPTH = 10
# How similarity and word match go together where they cannot be fitted: the evidence that the bundled model's
# teacher was (recipes/bundled).
_USUAL = {SIMILARITY: 20.0, WORD_MATCH: 6.0}


@dataclass(frozen=True, slots=True)
class TuningReport:
    """Learnt weights, and what they are worth on queries that they were not learnt from.

    Attributes:
        interpolation: The weights, fitted on all queries.
        first_stage: The evaluation of the first stage.
        reranked: That of the model as it ranks by itself.
        interpolated: That of the learnt weights; each query with weights learnt from others.
        self_made: Whether the queries were made of the passages' own words.
    """

    interpolation: Interpolation
    first_stage: Evaluation
    reranked: Evaluation
    interpolated: Evaluation
    self_made: bool

    @property
    def harm(self) -> Comparison:
        """The model as it ranks by itself, against the first stage (nDCG@10)."""
        return compare(self.first_stage, self.reranked)

    @property
    def gain(self) -> Comparison:
        """The learnt weights against the first stage (nDCG@10)."""
        return compare(self.first_stage, self.interpolated)

    @property
    def leaves_out(self) -> bool:
        """Whether the learnt weights leave the model out."""
        return self.interpolation.weights[-1].logit == 0

    @property
    def is_kept(self) -> bool:
        """Whether to use the weights: not if they make the search significantly worse."""
        return self.gain.interval[1] >= 0

    @property
    def verdict(self) -> str:
        """One sentence that says what to do."""
        harm, gain = self.harm, self.gain
        if not self.is_kept:
            return "this model makes this search worse: leave it out, and keep the first stage's order"
        if self.leaves_out and harm.difference < 0:
            return "this model makes this search worse: leave it out; the learnt weights do"
        if self.leaves_out:
            return (
                "this model adds nothing to the first stage's evidence: leave it out; the learnt weights do"
            )
        if harm.interval[1] < 0:
            effect = "is better than the first stage" if gain.interval[0] > 0 else "does no harm"
            return f"this model makes this search worse by itself; with the learnt weights it {effect}"
        if gain.interval[0] > 0:
            return "this model makes this search better"
        return "it cannot be said whether this model makes this search better: judge more queries"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "verdict": self.verdict,
            "kept": self.is_kept,
            "self_made": self.self_made,
            "queries": len(self.first_stage.per_query),
            "first_stage": self.first_stage.means["nDCG@10"],
            "reranked": _against(self.harm),
            "interpolated": _against(self.gain),
            "weights": [
                {"logit": one.logit, **one.evidence, "constant": one.constant, "doubt": one.doubt}
                for one in self.interpolation.weights
            ],
        }


def tune(
    judged: Sequence[JudgedQuery],
    qrels: Qrels,
    own: Interpolation | None,
    *,
    embedder: str = "",
    self_made: bool = False,
) -> TuningReport:
    """Learn weights for one model and one first stage, and compare them with both.

    Several ways to weigh are fitted: the model's own weights, evidence with the logit, the same with a logit
    that is bounded as in the model's own weights, and evidence alone. The one with the best nDCG@10 is taken.
    What is reported of it is cross-validated: five times, weights are fitted and chosen on four fifths of the
    queries and measured on the others.

    Args:
        judged: Judged candidates with their logits and evidence.
        qrels: The judgements.
        own: The model's own weights; None if it has none.
        embedder: The name of the first stage's bi-encoder.
        self_made: Whether the queries were made of the passages' own words. Then similarity and word match
            keep their proportion, since such queries favour words, and there are no probabilities.

    Raises:
        InputError: There are too few queries with a relevant candidate, or the candidates have no evidence.
        MissingExtraError: ``crossrank[eval]`` is not installed.
    """
    usable = [query for query in judged if len(query.candidates)]
    found = sum(bool(query.relevant.any()) for query in usable)
    if found < FEWEST:
        raise InputError(
            f"tuning needs at least {FEWEST} queries with a relevant candidate; there are {found}. Judge "
            "more queries, or take more candidates"
        )
    known = shared_evidence(usable)
    prints = {one.embedder for query in usable for one in query.candidates}
    if len(prints) > 1:
        known -= {SIMILARITY}
    names = tuple(name for name in _USUAL if name in known)
    if not names:
        raise InputError(
            "the candidates have no similarity and no word match, so there is nothing to weigh the model's "
            "logit against; take a first stage of crossrank, such as hybrid"
        )
    fingerprint = next(iter(prints)) if SIMILARITY in names else ""
    if own is not None and SIMILARITY in names and own.fingerprint != fingerprint:
        own = replace(own, weights=tuple(one for one in own.weights if one.similarity is None))

    def learnt(queries: Sequence[JudgedQuery], chosen: tuple[str, ...]) -> EvidenceWeights:
        ways = _ways(queries, chosen, own, self_made=self_made)
        return max(
            ways, key=lambda weights: np.mean([_ndcg(query, query.sums(weights)) for query in queries])
        )

    fold = np.random.default_rng(_SEED).permutation(len(usable)) % _FOLDS
    held_out: dict[str, Values] = {}
    for number in range(_FOLDS):
        weights = learnt([q for q, f in zip(usable, fold, strict=True) if f != number], names)
        for query, own_fold in zip(usable, fold, strict=True):
            if own_fold == number:
                held_out[query.query] = query.sums(weights)
    subsets = [chosen for size in range(1, len(names) + 1) for chosen in combinations(names, size)]
    final = []
    for chosen in subsets:
        weights = learnt(usable, chosen)
        if not self_made:
            rows = [query.best(weights) for query in usable]
            # Where all of the best are relevant, there is nothing to fit a probability to.
            with suppress(InputError):
                weights = replace(weights, calibration=calibrate(rows).calibration)
        final.append(weights)
    default = None if own is None else own.weights_for(set(names))
    by_itself = {query.query: query.sums(default) for query in usable}
    return TuningReport(
        Interpolation(embedder, fingerprint, tuple(final)),
        evaluate_run(run_of({query.query: query.candidates for query in judged}), qrels),
        evaluate_run(_run(usable, by_itself), qrels),
        evaluate_run(_run(usable, held_out), qrels),
        self_made,
    )


def _ways(
    queries: Sequence[JudgedQuery], names: tuple[str, ...], own: Interpolation | None, *, self_made: bool
) -> list[EvidenceWeights]:
    """The weights to choose from; where they are equally good, the first."""
    given = None if own is None else own.weights_for(set(names))
    own_weights = given if given is not None and given.evidence.keys() == set(names) else None
    doubts = dict.fromkeys([own_weights.doubt if own_weights else 0.0, 0.0])
    ways = [] if own_weights is None else [replace(own_weights, calibration=None)]
    usual = {name: (own_weights.evidence if own_weights else _USUAL)[name] for name in names}
    for doubt in doubts:
        bounded = _weights(1.0, 0.0, dict.fromkeys(names, 0.0), doubt)
        ways.append(_fitted(queries, bounded, usual, with_logit=True, together=self_made))
    ways.append(_fitted(queries, replace(bounded, logit=0.0), usual, with_logit=False, together=self_made))
    return ways


def _fitted(
    queries: Sequence[JudgedQuery],
    start: EvidenceWeights,
    usual: Mapping[str, float],
    *,
    with_logit: bool,
    together: bool,
) -> EvidenceWeights:
    """Fit weights on the order of candidates within their queries; none is negative.

    Args:
        queries: Queries with their candidates.
        start: Weights whose ``doubt`` bounds the logit.
        usual: The kinds of evidence, and how they go together.
        with_logit: Whether the logit counts.
        together: Whether the kinds of evidence keep their proportion.
    """
    columns = {name: np.array([1.0 if other == name else 0.0 for other in usual]) for name in usual}
    mixes = [np.array(list(usual.values()))] if together else list(columns.values())
    tables = []
    for query in queries:
        logits = query.sums(start) if with_logit else np.zeros(len(query.candidates))
        evidence = np.array([[one.evidence[name] for name in usual] for one in query.candidates], np.float64)
        parts = [logits] if with_logit else []
        tables.append(np.stack([*parts, *(evidence @ mix for mix in mixes)], axis=1))
    found = listwise_weights(tables, [query.relevant for query in queries])
    logit = float(found[0]) if with_logit else 0.0
    rest = found[1:] if with_logit else found
    evidence_weights = sum(
        (weight * mix for weight, mix in zip(rest, mixes, strict=True)), np.zeros(len(usual))
    )
    sums = [table @ found for table in tables]
    platt = fit("platt", [(own, query.relevant) for own, query in zip(sums, queries, strict=True)])
    given = {name: float(platt.scale * w) for name, w in zip(usual, evidence_weights, strict=True)}
    return _weights(platt.scale * logit, platt.shift, given, start.doubt)


def _weights(logit: float, constant: float, evidence: Mapping[str, float], doubt: float) -> EvidenceWeights:
    return EvidenceWeights(logit, constant, evidence.get(SIMILARITY), evidence.get(WORD_MATCH), doubt)


def _ndcg(query: JudgedQuery, sums: Values) -> float:
    """nDCG@10 within the candidates, by binary relevance; equal sums keep first-stage order."""
    discounts = 1 / np.log2(np.arange(2, _DEPTH + 2))
    best = np.sort(query.relevant)[::-1][:_DEPTH]
    if not best.any():
        return 0.0
    ranked = query.relevant[np.argsort(-sums, kind="stable")][:_DEPTH]
    return float((ranked * discounts[: len(ranked)]).sum() / (best * discounts[: len(best)]).sum())


def _run(queries: Sequence[JudgedQuery], sums: Mapping[str, Values]) -> dict[str, dict[str, float]]:
    ordered = {}
    for query in queries:
        order = np.argsort(-sums[query.query], kind="stable")
        ordered[query.query] = [query.candidates[place] for place in order]
    return run_of(ordered)


def _against(comparison: Comparison) -> dict[str, Any]:
    return {
        "nDCG@10": comparison.mean_b,
        "difference": comparison.difference,
        "interval_95": list(comparison.interval),
        "p_value": comparison.p_value,
    }
