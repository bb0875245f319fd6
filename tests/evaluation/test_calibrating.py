from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossrank.documents import Candidate, Document
from crossrank.errors import InputError
from crossrank.evaluation.calibrating import Reliability, calibrate, calibrate_model, fit
from crossrank.evaluation.judged import JudgedQuery
from crossrank.evaluation.plot import plot_reliability
from crossrank.inference.interpolation import EvidenceWeights, Interpolation, SimilarityScale

Queries = list[tuple[list[float], list[bool]]]


def drawn(count: int, *, bend: bool = False, seed: int = 0) -> Queries:
    """Queries whose candidates are relevant with a known probability."""
    random = np.random.default_rng(seed)
    queries: Queries = []
    for _ in range(count):
        sums = random.normal(-1, 2, 20)
        odds = np.where(sums > 0, 0.3, 0.02) if bend else 1 / (1 + np.exp(-(1.5 * sums - 2)))
        queries.append((sums.tolist(), (random.random(20) < odds).tolist()))
    return queries


def test_platt_finds_the_scale_and_shift_that_probabilities_were_drawn_with() -> None:
    report = calibrate(drawn(1000))
    assert report.calibration.method == "platt"
    assert report.calibration.scale == pytest.approx(1.5, abs=0.1)
    assert report.calibration.shift == pytest.approx(-2, abs=0.1)
    assert report.candidates.ece < 0.01
    assert report.candidates.brier < report.base_brier


def test_isotonic_is_chosen_where_a_sigmoid_does_not_fit() -> None:
    report = calibrate(drawn(1000, bend=True))
    assert report.calibration.method == "isotonic"
    assert report.losses["isotonic"] < report.losses["platt"]
    low, high = report.calibration.probabilities([-2.0, 2.0])
    assert (low, high) == pytest.approx((0.02, 0.3), abs=0.02)


def test_measures_are_of_queries_that_the_fit_has_not_seen() -> None:
    random = np.random.default_rng(1)
    queries: Queries = [
        (random.normal(size=20).tolist(), (random.random(20) < 0.2).tolist()) for _ in range(60)
    ]
    report = calibrate(queries)
    rows = [(np.array(sums), np.array(right)) for sums, right in queries]
    relevant = np.concatenate([right for _, right in rows])
    for method, held_out in report.losses.items():
        seen = fit(method, rows).probabilities(np.concatenate([sums for sums, _ in rows]))
        assert Reliability(seen, relevant).log_loss < held_out


def test_a_model_worse_than_chance_is_not_turned_round() -> None:
    queries = [([-value for value in sums], right) for sums, right in drawn(100)]
    probabilities = calibrate(queries).calibration.probabilities([-3.0, 3.0])
    assert probabilities[0] <= probabilities[1] < probabilities[0] + 0.05


def test_too_few_judged_queries_are_refused() -> None:
    with pytest.raises(InputError, match="at least 20 queries"):
        calibrate(drawn(5))


def test_reliability_measures_by_hand() -> None:
    one = Reliability(np.array([0.2, 0.8]), np.array([False, False]))
    assert one.brier == pytest.approx((0.04 + 0.64) / 2)
    assert one.ece == pytest.approx(0.5)
    assert one.log_loss == pytest.approx(-(np.log(0.8) + np.log(0.2)) / 2)


def judged(count: int, embedder: str) -> list[JudgedQuery]:
    found = []
    for number, (sums, right) in enumerate(drawn(count)):
        candidates = tuple(
            Candidate(Document(str(n), "x"), n + 1, evidence={"similarity": n / 20}, embedder=embedder)
            for n in range(20)
        )
        found.append(JudgedQuery(str(number), candidates, np.array(sums), np.array(right)))
    return found


def test_each_choice_of_weights_gets_its_own_calibration() -> None:
    weights = EvidenceWeights(logit=0.5, constant=-1.0, similarity=2.0)
    words = EvidenceWeights(logit=0.5, constant=-1.0, word_match=2.0)
    own = Interpolation("near", "f", (weights, words))
    result = calibrate_model(own, judged(40, "f"))
    assert list(result.reports) == ["alone", "with similarity"]
    assert result.interpolation is not None
    assert result.interpolation.weights[0].calibration == result.reports["with similarity"].calibration
    assert result.interpolation.weights[1].calibration is None  # these candidates have no word match
    other = calibrate_model(own, judged(40, "another"))
    assert list(other.reports) == ["alone"]


def test_rescaled_weights_are_calibrated_as_they_are_searched_with_and_kept_as_they_were() -> None:
    weights = EvidenceWeights(logit=0.5, constant=-1.0, similarity=2.0)
    own = Interpolation("near", "f", (weights,), SimilarityScale(0.0, 0.2))
    rescaled = own.rescaled_for("another", SimilarityScale(0.5, 0.1))
    result = calibrate_model(own, judged(40, "another"), searched=rescaled)
    expected = calibrate_model(rescaled, judged(40, "another")).reports["with similarity"].calibration
    assert result.interpolation is not None
    [kept] = result.interpolation.weights
    assert kept == replace(weights, calibration=expected)
    assert result.interpolation.fingerprint == "f"


def test_a_model_is_calibrated_on_the_hits_that_a_search_returns() -> None:
    queries = judged(40, "f")
    few = [
        JudgedQuery(one.query, one.candidates[:3], one.logits[best], one.relevant[best])
        for one in queries
        for best in [np.argsort(-one.logits)[:3]]
    ]
    own = Interpolation("near", "f", ())
    assert str(calibrate_model(own, queries)) == str(calibrate_model(own, few))


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    report = calibrate(drawn(50))
    file = tmp_path / "reliability.png"
    plot_reliability(file, "a model", {"Candidates": report.candidates, "Best": report.best})
    assert file.read_bytes().startswith(b"\x89PNG")
