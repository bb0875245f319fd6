from __future__ import annotations

import numpy as np
import pytest

from crossrank.documents import Candidate, Document
from crossrank.errors import InputError
from crossrank.evaluation.judged import JudgedQuery
from crossrank.evaluation.listwise import listwise_weights
from crossrank.evaluation.tuning import TuningReport, tune
from crossrank.inference.interpolation import EvidenceWeights, Interpolation

Judged = tuple[list[JudgedQuery], dict[str, dict[str, int]]]


def collection(count: int, *, logit: float, similarity: float, seed: int = 0) -> Judged:
    """Queries with 12 candidates, one relevant; what logit and similarity say of it is mixed with noise."""
    random = np.random.default_rng(seed)
    queries, qrels = [], {}
    for number in range(count):
        relevant = random.permutation(12) == 0
        near = similarity * relevant + random.normal(size=12)
        order = np.argsort(-near)
        relevant, near = relevant[order], near[order]
        candidates = tuple(
            Candidate(
                Document(f"{number}-{n}", "x"), n + 1, evidence={"similarity": float(near[n])}, embedder="f"
            )
            for n in range(12)
        )
        logits = logit * relevant + random.normal(size=12)
        queries.append(JudgedQuery(str(number), candidates, logits, relevant))
        qrels[str(number)] = {f"{number}-{n}": 1 for n in np.flatnonzero(relevant)}
    return queries, qrels


def learnt(judged: Judged, own: Interpolation | None = None, **options: bool) -> TuningReport:
    return tune(*judged, own, embedder="near", **options)


def test_logit_and_similarity_that_both_know_something_are_added() -> None:
    report = learnt(collection(150, logit=2.0, similarity=2.0))
    (weights,) = report.interpolation.weights
    assert weights.similarity is not None
    assert weights.logit / weights.similarity == pytest.approx(1, rel=0.3)
    assert report.gain.interval[0] > 0
    assert report.interpolated.means["nDCG@10"] > report.reranked.means["nDCG@10"] + 0.03
    assert report.verdict == "this model makes this search better"
    assert weights.calibration is not None
    assert (report.interpolation.embedder, report.interpolation.fingerprint) == ("near", "f")


def test_a_model_that_knows_nothing_is_left_out() -> None:
    report = learnt(collection(150, logit=0.0, similarity=2.5))
    assert report.harm.interval[1] < 0
    assert report.gain.interval[1] >= 0, "the learnt weights do no harm"
    assert "this model makes this search worse" in report.verdict
    (weights,) = report.interpolation.weights
    assert weights.similarity is not None
    assert weights.logit < 0.2 * weights.similarity


def test_a_model_that_knows_the_opposite_gets_no_weight() -> None:
    report = learnt(collection(100, logit=-2.0, similarity=2.0))
    assert report.leaves_out
    assert report.verdict == "this model makes this search worse: leave it out; the learnt weights do"


def test_what_is_reported_is_of_queries_that_were_not_learnt_from() -> None:
    """Noise alone: weights that had seen the queries would rank them better than the first stage."""
    report = learnt(collection(100, logit=0.0, similarity=0.0))
    assert report.gain.interval[0] < 0


def test_own_weights_are_kept_where_nothing_is_better() -> None:
    good = EvidenceWeights(logit=2.0, constant=0.0, similarity=2.0, doubt=0.1)
    judged = collection(400, logit=3.0, similarity=3.0)
    report = learnt(judged, Interpolation("near", "f", (good,)))
    assert report.interpolated.means["nDCG@10"] >= report.reranked.means["nDCG@10"] - 0.01
    other = learnt(judged, Interpolation("far", "another", (good,)))
    assert other.reranked.means["nDCG@10"] < report.reranked.means["nDCG@10"], "not for this embedder"


def test_self_made_queries_give_weights_but_no_probabilities() -> None:
    report = learnt(collection(60, logit=2.0, similarity=2.0), self_made=True)
    assert report.to_dict()["self_made"] is True
    assert all(weights.calibration is None for weights in report.interpolation.weights)


def test_there_are_weights_without_probabilities_where_all_of_the_best_are_relevant() -> None:
    queries, qrels = collection(40, logit=3.0, similarity=3.0)
    for query in queries:
        query.relevant[:] = np.arange(12) < 8
        for candidate in query.candidates[:8]:
            qrels[query.query][candidate.document.id] = 1
        query.logits[:] = 9.0 - np.arange(12)
    (weights,) = learnt((queries, qrels)).interpolation.weights
    assert weights.calibration is None
    assert weights.logit > 0


def test_too_few_queries_and_no_evidence_are_refused() -> None:
    with pytest.raises(InputError, match="at least 20 queries"):
        learnt(collection(10, logit=1.0, similarity=1.0))
    queries, qrels = collection(30, logit=1.0, similarity=1.0)
    plain = [
        JudgedQuery(
            one.query, tuple(Candidate(c.document, c.rank) for c in one.candidates), one.logits, one.relevant
        )
        for one in queries
    ]
    with pytest.raises(InputError, match="no similarity and no word match"):
        tune(plain, qrels, None)


def test_listwise_weights_are_those_that_choices_were_drawn_with() -> None:
    random = np.random.default_rng(0)
    tables = [random.normal(size=(8, 3)) for _ in range(2000)]
    true = np.array([1.5, 0.5, 0.0])
    relevant = []
    for table in tables:
        share = np.exp(table @ true)
        relevant.append(np.arange(8) == random.choice(8, p=share / share.sum()))
    found = listwise_weights(tables, relevant)
    assert found == pytest.approx(true, abs=0.12)
    assert min(found) >= 0
