"""Logits that mean something: a sigmoid of 0.5 where relevant and not relevant are equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import TYPE_CHECKING

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.inference.interpolation import EvidenceWeights
from crossrank.training.mining import TrainingList

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Logits = Sequence[Sequence[float]]

# Of fewer questions, weights would say more about these than about others.
_FEWEST = 20


def fit_logits(lists: Sequence[TrainingList], logits: Logits) -> tuple[float, float]:
    """Find the scale and shift with which logits become log-odds, on questions that were not learnt.

    A loss over lists fixes how far apart logits are, and not where zero is. Relevant passages and others
    weigh the same here, so the sigmoid answers: of one relevant passage and one that is near but not
    relevant, how likely is this the relevant one? The order of passages stays.

    Args:
        lists: Questions with their candidates; the first ``relevant`` of each are relevant.
        logits: One for each candidate.

    Returns:
        Scale (above 0) and shift.

    Source:
        Platt, Probabilistic outputs for support vector machines (1999).
    """
    (scale,), shift = _fit(lists, [[(value,) for value in row] for row in logits])
    # A model that ranks worse than chance is not turned round.
    return (scale, shift) if scale > 0 else (1.0, 0.0)


def fit_weights(
    lists: Sequence[TrainingList], logits: Logits, *, cosine: bool
) -> tuple[EvidenceWeights, ...]:
    """Find how logit, similarity and word match go together best, on questions that were not learnt.

    Args:
        lists: Questions with their candidates.
        logits: One for each candidate.
        cosine: Whether the embedder compares by cosine, which the similarities are.

    Returns:
        Weights for logit and similarity, logit and word match, and all three, without those in which anything
        would count against a passage; none where nothing is left, or the questions are too few. Their sums
        are log-odds, as those of :func:`fit_logits`. What counts is the order within each question: fitted
        over all passages of all questions, a part that is high for easy questions would be trusted too much.

    Source:
        ListNet's loss (Cao et al. 2007); with one relevant passage, McFadden's conditional logit (1974).
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
        weights = _fit_order(lists, rows)
        if min(weights) <= 0:
            continue
        sums = [[sum(map(mul, weights, values)) for values in row] for row in rows]
        scale, shift = fit_logits(lists, sums)
        logit, *others = (scale * weight for weight in weights)
        found.append(EvidenceWeights(logit, shift, **dict(zip(names, others, strict=True))))
    return tuple(found)


def combined(weights: EvidenceWeights, lists: Sequence[TrainingList], logits: Logits) -> list[list[float]]:
    """What logit and evidence give together for each candidate of each list."""
    return [
        [
            weights.combine(logit, {SIMILARITY: similarity, WORD_MATCH: match})
            for logit, similarity, match in zip(row, item.similarities, item.word_matches, strict=True)
        ]
        for row, item in zip(logits, lists, strict=True)
    ]


def _known(item: TrainingList) -> dict[str, tuple[float, ...]]:
    return {SIMILARITY: item.similarities, WORD_MATCH: item.word_matches}


def _fit_order(lists: Sequence[TrainingList], features: Sequence[Sequence[tuple[float, ...]]]) -> list[float]:
    """Weights of the features with which softmax over a question's passages says best which are relevant."""
    import numpy as np
    from scipy.optimize import minimize

    questions = [np.array(row) for row in features]
    spread = np.concatenate(questions).std(axis=0) + 1e-9
    wanted = [np.arange(len(row)) < item.relevant for row, item in zip(questions, lists, strict=True)]
    pairs = [
        (row / spread, want / want.sum()) for row, want in zip(questions, wanted, strict=True) if want.any()
    ]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        # A little of the weights' own size, so that they stay finite where everything is ranked right.
        total, gradient = 1e-3 * float(weights @ weights), 2e-3 * weights
        for row, want in pairs:
            values = row @ weights
            share = np.exp(values - values.max())
            share /= share.sum()
            total -= float(want @ np.log(share + 1e-12)) / len(pairs)
            gradient = gradient + (share - want) @ row / len(pairs)
        return total, gradient

    if not pairs:
        return [0.0] * len(spread)
    return (minimize(loss, np.zeros(len(spread)), jac=True).x / spread).tolist()


def _fit(
    lists: Sequence[TrainingList], features: Sequence[Sequence[tuple[float, ...]]]
) -> tuple[list[float], float]:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    relevant = np.array([place < item.relevant for item in lists for place in range(len(item.documents))])
    values = np.array([value for row in features for value in row])
    if relevant.all() or not relevant.any():
        return [0.0] * values.shape[1], 0.0
    # Similarities span a tenth of what logits do; scaled alike, neither is held back more than the other.
    spread = values.std(axis=0) + 1e-9
    fitted = LogisticRegression(class_weight="balanced").fit(values / spread, relevant)
    return (fitted.coef_[0] / spread).tolist(), float(fitted.intercept_[0])
