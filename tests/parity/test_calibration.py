"""How logit, similarity and word match go together: fitted on questions made so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from crossrank.inference.interpolation import EvidenceWeights
from crossrank.training.calibration import combined, fit_logits, fit_weights
from crossrank.training.mining import TrainingList

pytestmark = pytest.mark.parity


def questions(
    own: float, similarity: float, words: float, count: int = 400
) -> tuple[list[TrainingList], list[list[float]]]:
    """Questions whose relevant passage has each feature so much higher, in noise of size 1."""
    random = np.random.default_rng(3)
    lists, logits = [], []
    for number in range(count):
        features = random.normal(size=(10, 3)) + 5 * random.normal(size=(1, 3))
        features[0] += own, similarity, words
        passages = tuple(f"passage {place} of {number}" for place in range(10))
        near, match = (tuple(features[:, column].tolist()) for column in (1, 2))
        lists.append(TrainingList("made", f"question {number}", passages, near, 1, near, match))
        logits.append(features[:, 0].tolist())
    return lists, logits


def top(lists: list[TrainingList], logits: list[list[float]], weights: EvidenceWeights) -> float:
    return float(np.mean([np.argmax(row) == 0 for row in combined(weights, lists, logits)]))


def test_of_few_questions_nothing_is_fitted() -> None:
    found = [fit_weights(*questions(1.5, 1.0, 0.8, count), cosine=True) for count in (19, 20)]
    assert [len(weights) for weights in found] == [0, 3]


def test_every_part_counts_as_much_as_it_says() -> None:
    lists, logits = questions(own=1.5, similarity=1.0, words=0.8)
    near, words, both = fit_weights(lists, logits, cosine=True)
    # Between normal distributions of equal width, log-odds are linear with the distance of their means.
    assert (both.similarity or 0) / both.logit == pytest.approx(1.0 / 1.5, rel=0.2)
    assert (both.word_match or 0) / both.logit == pytest.approx(0.8 / 1.5, rel=0.2)
    assert near.word_match is words.similarity is None
    alone = top(lists, logits, EvidenceWeights(1.0, 0.0))
    assert top(lists, logits, both) > top(lists, logits, near) > alone
    assert top(lists, logits, words) > alone


def test_sums_are_log_odds() -> None:
    lists, logits = questions(own=1.5, similarity=1.0, words=0.5)
    for weights in fit_weights(lists, logits, cosine=True):
        scale, shift = fit_logits(lists, combined(weights, lists, logits))
        assert (scale, shift) == (pytest.approx(1.0, abs=0.02), pytest.approx(0.0, abs=0.02))


def test_what_counts_against_a_passage_is_left_out() -> None:
    lists, logits = questions(own=1.5, similarity=-1.0, words=1.0)
    assert [weights.name for weights in fit_weights(lists, logits, cosine=True)] == ["with words"]
    lists, logits = questions(own=-1.5, similarity=1.0, words=1.0)
    assert fit_weights(lists, logits, cosine=True) == ()


def test_similarities_that_are_no_cosines_are_left_out() -> None:
    lists, logits = questions(own=1.5, similarity=1.0, words=0.5)
    assert [weights.name for weights in fit_weights(lists, logits, cosine=False)] == ["with words"]
