"""How far each side's scores are from sentence-transformers' in float32, and what that does to a ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from crossrank.evaluation import evaluate_run
from crossrank.evaluation.qrels import Qrels
from crossrank.inference.spearman import spearman


def compare_scores(
    expected: Sequence[Sequence[float]], given: Sequence[Sequence[float]], scale: str
) -> dict[str, float | None]:
    """Two sides' scores of the same lists.

    Args:
        expected: Logits.
        given: Logits, or probabilities.
        scale: Which of the two: ``logit`` or ``probability``.

    Returns:
        ``logit`` and ``probability``: the largest difference on either scale, the first None where there are
        no logits; ``spearman``, averaged over the lists.
    """
    logits = scale == "logit"
    lists = list(zip(expected, given, strict=True))
    pairs = [pair for one, other in lists for pair in zip(one, other, strict=True)]
    ranks = [spearman(np.asarray(one, np.float32), np.asarray(other, np.float32)) for one, other in lists]
    return {
        "logit": round(max(abs(a - b) for a, b in pairs), 6) if logits else None,
        "probability": round(max(abs(sigmoid(a) - (sigmoid(b) if logits else b)) for a, b in pairs), 6),
        "spearman": round(sum(ranks) / len(ranks), 6),
    }


def ndcg(ids: Sequence[tuple[str, Sequence[str]]], scores: Sequence[Sequence[float]], qrels: Qrels) -> float:
    """nDCG@10 of judged lists, over the questions that have one."""
    run: Mapping[str, Mapping[str, float]] = {
        query: dict(zip(passages, values, strict=True))
        for (query, passages), values in zip(ids, scores, strict=True)
    }
    return evaluate_run(run, {query: qrels[query] for query in run}).means["nDCG@10"]


def sigmoid(logit: float) -> float:
    """A logit as a probability."""
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0
