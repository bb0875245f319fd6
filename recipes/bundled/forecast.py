"""What evidence says about the logit, for stopping early: into the crossrank.json of a model.

    python recipes/bundled/forecast.py LISTS MODEL

LISTS are the lists of candidates.py, of which the fields that are kept out of the training are read. For
each choice of evidence in MODEL's interpolation, a line is fitted within the questions (what the logit adds,
by the sum of the evidence), and the distribution of its errors, as
:class:`~crossrank.ranking.early_stop.EarlyStop` meets them: with the middle and the spread of the candidates
that were read.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fields import KEPT_OUT
from numpy.typing import NDArray

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, LogitForecast

QUESTIONS = 40
SHARES = (0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0001)
# After how many candidates errors are looked at, and what the general spread counts for.
READ, PRIOR = (8, 16, 24, 32), 16

# Of one question: the sums of the evidence, and what the logits add.
Question = tuple[NDArray[np.float64], NDArray[np.float64]]


def main() -> None:
    """Score, fit, write."""
    lists, folder = map(Path, sys.argv[1:])
    model = CrossEncoder(folder, precision="float32")
    found = []
    for name in sorted(KEPT_OUT):
        content = json.loads(gzip.decompress((lists / f"{name}.json.gz").read_bytes()))
        for item in content["lists"][:QUESTIONS]:
            pairs = [(item["query"], content["passages"][place]) for place in item["candidates"]]
            found.append((item, model.logits(pairs)[0].tolist()))
        print(name, len(found), flush=True)
    file = folder / "crossrank.json"
    known = json.loads(file.read_text(encoding="utf-8"))
    assert model.interpolation is not None, "MODEL has an interpolation"
    for weights, saved in zip(model.interpolation.weights, known["interpolation"]["weights"], strict=True):
        forecast = fit_forecast([_question(weights, item, logits) for item, logits in found])
        saved["forecast"] = dataclasses.asdict(forecast)
        print(weights.name, forecast)
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _question(weights: EvidenceWeights, item: dict[str, list[float]], logits: list[float]) -> Question:
    known = [
        {SIMILARITY: similarity, WORD_MATCH: match}
        for similarity, match in zip(item["similarity"], item["word_match"], strict=True)
    ]
    evidence = np.array([weights.combine(0.0, one) for one in known])
    sums = np.array([weights.combine(logit, one) for logit, one in zip(logits, known, strict=True)])
    return evidence, sums - evidence


def fit_forecast(questions: Sequence[Question]) -> LogitForecast:
    """Fit the line and its errors on questions with their candidates."""
    centred = [(evidence - evidence.mean(), added - added.mean()) for evidence, added in questions]
    x, y = (np.concatenate(values) for values in zip(*centred, strict=True))
    slope = float(x @ y / (x @ x))
    spread = float(np.sqrt(np.mean([np.square(b - slope * a).mean() for a, b in centred])))
    errors = []
    for evidence, added in questions:
        order = np.argsort(-evidence, kind="stable")
        left = (added - slope * evidence)[order]
        for read in READ:
            middle = left[:read].mean()
            variance = (np.square(left[:read] - middle).sum() + PRIOR * spread**2) / (read + PRIOR)
            errors.append((left[read:] - middle) / np.sqrt(variance))
    deviations = np.quantile(np.concatenate(errors), [1 - share for share in SHARES])
    return LogitForecast(
        round(slope, 4),
        round(spread, 4),
        tuple((round(float(one), 3), share) for one, share in zip(deviations, SHARES, strict=True)),
    )


if __name__ == "__main__":
    main()
