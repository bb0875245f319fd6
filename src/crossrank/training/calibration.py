"""Logits that mean something: a sigmoid of 0.5 where relevant and not relevant are equally likely."""

from __future__ import annotations

from collections.abc import Sequence

from crossrank.inference.scores import Interpolation
from crossrank.training.mining import TrainingList

Logits = Sequence[Sequence[float]]


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


def fit_interpolation(lists: Sequence[TrainingList], logits: Logits, embedder: str) -> Interpolation | None:
    """Find how logit and similarity go together best, on questions that were not learnt.

    Args:
        lists: Questions with their candidates; ``targets`` are the similarities.
        logits: One for each candidate.
        embedder: The name of the bi-encoder whose similarities they are.

    Returns:
        The weights, for which what is said of :func:`fit_logits` holds; None where either would count against
        a passage.
    """
    rows = [list(zip(values, item.targets, strict=True)) for item, values in zip(lists, logits, strict=True)]
    (logit, similarity), constant = _fit(lists, rows)
    return Interpolation(embedder, logit, similarity, constant) if min(logit, similarity) > 0 else None


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
