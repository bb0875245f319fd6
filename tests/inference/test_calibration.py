from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank.documents import Candidate, Document
from crossrank.errors import InputError, ModelError, UncalibratedError
from crossrank.inference.calibration import Calibration, calibration_from
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.ranking.reranker import Reranker
from crossrank.search import Searcher

QUESTION = "Who bakes bread?"
PASSAGES = ["A tide table.", "Bakers bake bread.", "Trains run at night."]
OFF_TOPIC = "How many moons does Jupiter have?"


def test_platt_is_a_sigmoid_and_isotonic_a_line_through_points() -> None:
    assert Calibration("platt", scale=2.0, shift=-1.0).probabilities([0.5, -800.0]).tolist() == [0.5, 0.0]
    isotonic = Calibration("isotonic", points=((-1.0, 0.1), (1.0, 0.5)))
    assert isotonic.probabilities([-9.0, 0.0, 9.0]).tolist() == pytest.approx([0.1, 0.3, 0.5])


@pytest.mark.parametrize(
    "saved",
    [
        {"method": "guess"},
        {"method": "platt", "scale": -1.0},
        {"method": "platt", "scale": float("nan")},
        {"method": "isotonic"},
        {"method": "isotonic", "points": [[0, 0.5], [1, 0.4]]},
        {"method": "isotonic", "points": [[0, 0.5], [1, 1.4]]},
    ],
)
def test_malformed_calibrations_are_refused(saved: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        calibration_from(saved)


def test_a_malformed_calibration_in_crossrank_json_is_a_model_error(
    tiny: CrossEncoder, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny.path, folder)
    (folder / "crossrank.json").write_text(json.dumps({"calibration": {"method": "platt", "scale": "x"}}))
    with pytest.raises(ModelError, match="'calibration' in"):
        CrossEncoder(folder)


def test_bundled_model_gives_probabilities_for_all_that_it_ranks_by(bundled: CrossEncoder) -> None:
    for retrieval in ("hybrid", "lexical", "dense"):
        ranking = Searcher(PASSAGES, retrieval=retrieval, model=bundled).search(QUESTION)  # type: ignore[arg-type]
        probabilities = [hit.probability for hit in ranking]
        assert all(p is not None and 0 < p < 1 for p in probabilities)
        assert probabilities == sorted(probabilities, reverse=True)  # type: ignore[type-var]
    alone = Reranker(bundled).rank(QUESTION, PASSAGES)[0]
    assert bundled.calibration is not None
    assert alone.probability == bundled.calibration.probabilities([alone.logit or 0.0])[0]
    assert alone.to_dict()["probability"] == alone.probability


def test_probability_is_of_the_sum_of_contributions(bundled: CrossEncoder) -> None:
    hit = Searcher(PASSAGES, model=bundled).search(QUESTION)[0]
    assert bundled.interpolation is not None
    weights = bundled.interpolation.weights_for({"similarity", "word_match"})
    assert weights is not None
    assert weights.calibration is not None
    assert hit.combined_logit is not None
    assert hit.probability == weights.calibration.probabilities([hit.combined_logit])[0]


def test_without_a_calibration_there_is_no_probability(tiny: CrossEncoder) -> None:
    ranking = Reranker(tiny).rank(QUESTION, PASSAGES)
    assert [hit.probability for hit in ranking] == [None] * 3
    assert ranking.to_dict()["hits"][0]["probability"] is None
    with pytest.raises(UncalibratedError, match="crossrank calibrate"):
        Reranker(tiny).rank(QUESTION, PASSAGES, min_probability=0.5)


def test_an_unread_candidate_has_no_probability(bundled: CrossEncoder) -> None:
    ranking = Reranker(bundled).rank(QUESTION, [*PASSAGES, "潮水每天涨落两次"])
    assert ranking[-1].probability is None
    kept = Reranker(bundled).rank(QUESTION, [*PASSAGES, "潮水每天涨落两次"], min_probability=0.0)
    assert len(kept) == 3


def test_nothing_is_returned_if_nothing_is_relevant(bundled: CrossEncoder) -> None:
    searcher = Searcher(PASSAGES, model=bundled)
    plain = searcher.search(QUESTION)
    first, second = (hit.probability for hit in plain[:2])
    assert first is not None
    assert second is not None
    between = (first + second) / 2
    assert list(searcher.search(QUESTION, min_probability=between)) == list(plain[:1])
    nothing = searcher.search(OFF_TOPIC, min_probability=between)
    assert len(nothing) == 0
    assert nothing.scored > 0
    assert any("nothing is relevant enough" in notice for notice in nothing.notices)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", True])
def test_a_threshold_that_is_no_probability_is_refused(bundled: CrossEncoder, value: Any) -> None:
    with pytest.raises(InputError, match="min_probability"):
        Reranker(bundled).rank(QUESTION, PASSAGES, min_probability=value)


def test_probabilities_are_of_the_exact_sum_also_with_many_candidates(bundled: CrossEncoder) -> None:
    found = [Candidate(Document(str(n), text), n + 1) for n, text in enumerate(PASSAGES * 5)]
    ranking = Reranker(bundled).rank(QUESTION, found)
    assert bundled.calibration is not None
    logits = np.array([hit.logit for hit in ranking])
    assert [hit.probability for hit in ranking] == bundled.calibration.probabilities(logits).tolist()
