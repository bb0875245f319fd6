"""Calibrate logits, so that a sigmoid of 0.5 means that relevant and not relevant are equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul

import numpy as np

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.evaluation.listwise import listwise_weights
from crossrank.inference.interpolation import EvidenceWeights
from crossrank.training.mining import TrainingList

Logits = Sequence[Sequence[float]]

# With fewer questions, the weights would overfit.
_FEWEST = 20


def fit_logits(lists: Sequence[TrainingList], logits: Logits) -> tuple[float, float]:
    """Fit scale and shift that turn logits into log-odds, on held-out questions (Platt scaling).

    A listwise loss determines the differences of logits, but not their zero. Relevant and other passages have
    the same total weight here, so the sigmoid is the probability that a passage is the relevant one of a
    relevant passage and a hard negative. The order of passages does not change.

    Args:
        lists: Questions with their candidates; the first ``relevant`` of each are relevant.
        logits: One logit per candidate.

    Returns:
        Scale (above 0) and shift.

    Source:
        Platt, Probabilistic outputs for support vector machines (1999).
    """
    (scale,), shift = _fit(lists, [[(value,) for value in row] for row in logits])
    # The ranking of a model that is worse than chance is not reversed.
    return (scale, shift) if scale > 0 else (1.0, 0.0)


def fit_weights(
    lists: Sequence[TrainingList], logits: Logits, *, cosine: bool
) -> tuple[EvidenceWeights, ...]:
    """Fit weights for combining logit, similarity and word match, on held-out questions.

    Args:
        lists: Questions with their candidates.
        logits: One logit per candidate.
        cosine: Whether the similarities are cosines.

    Returns:
        Weights for logit and similarity, logit and word match, and all three; combinations with a negative
        weight are left out, and there are none if there are too few questions. The sums are log-odds, as in
        :func:`fit_logits`. The loss compares passages within a question: compared across questions, evidence
        that is high for easy questions would get too much weight.
    """
    if len(lists) < _FEWEST:
        return ()
    choices = ((SIMILARITY,), (WORD_MATCH,), (SIMILARITY, WORD_MATCH))
    found = []
    for names in choices if cosine else choices[1:2]:
        rows = [
            list(zip(own, *(_known(item)[name] for name in names), strict=True))
            for item, own in zip(lists, logits, strict=True)
        ]
        wanted = [np.arange(len(row)) < item.relevant for row, item in zip(rows, lists, strict=True)]
        weights = listwise_weights([np.array(row) for row in rows], wanted).tolist()
        if min(weights) <= 0:
            continue
        sums = [[sum(map(mul, weights, values)) for values in row] for row in rows]
        scale, shift = fit_logits(lists, sums)
        logit, *others = (scale * weight for weight in weights)
        weighed = dict(zip(names, others, strict=True))
        found.append(EvidenceWeights(logit, shift, weighed.get(SIMILARITY), weighed.get(WORD_MATCH)))
    return tuple(found)


def combined(weights: EvidenceWeights, lists: Sequence[TrainingList], logits: Logits) -> list[list[float]]:
    """The combined logit of each candidate of each list."""
    return [
        [
            weights.combine(logit, {SIMILARITY: similarity, WORD_MATCH: match})
            for logit, similarity, match in zip(row, item.similarities, item.word_matches, strict=True)
        ]
        for row, item in zip(logits, lists, strict=True)
    ]


def _known(item: TrainingList) -> dict[str, tuple[float, ...]]:
    return {SIMILARITY: item.similarities, WORD_MATCH: item.word_matches}


def _fit(
    lists: Sequence[TrainingList], features: Sequence[Sequence[tuple[float, ...]]]
) -> tuple[list[float], float]:
    from sklearn.linear_model import LogisticRegression

    relevant = np.array([place < item.relevant for item in lists for place in range(len(item.documents))])
    values = np.array([value for row in features for value in row])
    if relevant.all() or not relevant.any():
        return [0.0] * values.shape[1], 0.0
    # Similarities have a tenth of the range of logits; scaling makes the penalty equal for both.
    spread = values.std(axis=0) + 1e-9
    fitted = LogisticRegression(class_weight="balanced").fit(values / spread, relevant)
    return (fitted.coef_[0] / spread).tolist(), float(fitted.intercept_[0])
