"""Fit a calibration on judged queries, and measure it on queries that it was not fitted on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.conversion.quantise import write_settings
from crossrank.documents import SIMILARITY
from crossrank.errors import InputError
from crossrank.evaluation.judged import JudgedQuery, shared_evidence
from crossrank.inference.calibration import Calibration, Method
from crossrank.inference.interpolation import Interpolation

Values = NDArray[np.float64]

FEWEST = 20
"""The number of queries, at least one of whose candidates is relevant, that a calibration needs."""

_FOLDS = 5
_SEED = 0
# Isotonic regression runs over bins of candidates with similar sums, so that a file holds few points.
_BINS = 100
# Bins of the calibration error, of equal numbers of candidates.
_ERROR_BINS = 10
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well probabilities agree with what was judged.

    Attributes:
        probabilities: What was predicted for each candidate, by a fit on other queries.
        relevant: Whether it is relevant.
    """

    probabilities: Values
    relevant: NDArray[np.bool_]

    @property
    def brier(self) -> float:
        """The mean squared error of the probabilities (Brier, 1950)."""
        return float(np.square(self.probabilities - self.relevant).mean())

    @property
    def log_loss(self) -> float:
        """The mean negative logarithm of the probability of what was judged."""
        right = np.where(self.relevant, self.probabilities, 1 - self.probabilities)
        return float(-np.log(np.clip(right, _TINY, 1)).mean())

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean distance of predicted and judged share in the bins.

        Source:
            Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning
            (AAAI 2015); with bins of equal numbers, since most candidates have small probabilities.
        """
        return float(sum(count * abs(p - share) for p, share, count in self.bins()) / len(self.relevant))

    def bins(self) -> list[tuple[float, float, int]]:
        """The mean probability, the share of relevant candidates, and their number, by bin."""
        order = np.argsort(self.probabilities, kind="stable")
        parts = np.array_split(order, min(_ERROR_BINS, len(order)))
        return [
            (float(self.probabilities[part].mean()), float(self.relevant[part].mean()), len(part))
            for part in parts
        ]

    def to_dict(self) -> dict[str, Any]:
        """The measures, for JSON."""
        return {
            "ece": self.ece,
            "brier": self.brier,
            "log_loss": self.log_loss,
            "relevant": float(self.relevant.mean()),
            "candidates": len(self.relevant),
        }


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """A calibration and its measures on queries that it was not fitted on.

    Attributes:
        calibration: Fitted on all queries.
        losses: The held-out log loss of each method.
        candidates: The candidates of all queries.
        best: The best candidate of each query alone, which decides whether there is an answer.
        base_brier: Brier's score of one probability for all candidates, the share of the relevant.
    """

    calibration: Calibration
    losses: dict[Method, float]
    candidates: Reliability
    best: Reliability
    base_brier: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "method": self.calibration.method,
            "queries": self.calibration.queries,
            "held_out_log_loss": dict(self.losses),
            "candidates": self.candidates.to_dict(),
            "best": self.best.to_dict(),
            "base_brier": self.base_brier,
        }


def calibrate(queries: Sequence[tuple[Sequence[float], Sequence[bool]]]) -> CalibrationReport:
    """Fit Platt scaling and isotonic regression, and take the better one by held-out log loss.

    Both are fitted on four fifths of the queries and measured on the others, five times, so that each query
    is predicted by fits that have not seen it. The candidates of a query stay together.

    Args:
        queries: For each query, what its candidates are ranked by, and whether they are relevant.

    Raises:
        InputError: Fewer than 20 queries have a relevant candidate, or all candidates are relevant.

    Example:
        >>> queries = [([2.0 + n / 50, 1.0, -1.0], [True, n % 2 == 0, False]) for n in range(50)]
        >>> report = calibrate(queries)
        >>> report.calibration.probabilities([-1.0, 3.0]).round().tolist()
        [0.0, 1.0]
    """
    rows = [(np.asarray(sums, float), np.asarray(right, bool)) for sums, right in queries if len(sums)]
    judged = sum(bool(right.any()) for _, right in rows)
    if judged < FEWEST or all(right.all() for _, right in rows):
        raise InputError(
            f"a calibration needs at least {FEWEST} queries with a relevant candidate among the best, and "
            f"candidates that are not relevant; {judged} queries have one. Judge more queries"
        )
    fold = np.random.default_rng(_SEED).permutation(len(rows)) % _FOLDS
    predicted: dict[Method, list[Values]] = {method: [np.empty(0)] * len(rows) for method in _FITS}
    for number in range(_FOLDS):
        known = [row for row, own in zip(rows, fold, strict=True) if own != number]
        if not any(right.any() for _, right in known):
            continue
        for method in _FITS:
            calibration = fit(method, known)
            for place in np.flatnonzero(fold == number):
                predicted[method][place] = calibration.probabilities(rows[place][0])
    relevant = np.concatenate([right for _, right in rows])
    losses = {m: Reliability(np.concatenate(own), relevant).log_loss for m, own in predicted.items()}
    better = min(losses, key=lambda method: losses[method])
    first = [int(np.argmax(sums)) for sums, _ in rows]
    best = Reliability(
        np.array([own[place] for own, place in zip(predicted[better], first, strict=True)]),
        np.array([right[place] for (_, right), place in zip(rows, first, strict=True)]),
    )
    share = float(relevant.mean())
    return CalibrationReport(
        fit(better, rows),
        losses,
        Reliability(np.concatenate(predicted[better]), relevant),
        best,
        share * (1 - share),
    )


def fit(method: Method, rows: Sequence[tuple[Values, NDArray[np.bool_]]]) -> Calibration:
    """Fit one method on the candidates of queries.

    Args:
        method: ``platt`` or ``isotonic``.
        rows: For each query, what its candidates are ranked by, and whether they are relevant.
    """
    sums = np.concatenate([values for values, _ in rows])
    relevant = np.concatenate([right for _, right in rows])
    return _FITS[method](sums, relevant, len(rows))


def _platt(sums: Values, relevant: NDArray[np.bool_], queries: int) -> Calibration:
    """Logistic regression by Newton's method, with Platt's targets, which keep it finite."""
    right = int(relevant.sum())
    targets = np.where(relevant, (right + 1) / (right + 2), 1 / (len(sums) - right + 2))
    middle, spread = sums.mean(), sums.std() + _TINY
    x = np.stack([(sums - middle) / spread, np.ones(len(sums))], axis=1)
    weights = np.array([1.0, np.log((right + 1) / (len(sums) - right + 1))])
    for _ in range(50):
        shares = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (shares - targets)
        step = np.linalg.solve((x * (shares * (1 - shares))[:, None]).T @ x + _TINY * np.eye(2), gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    # What ranks worse than chance is not turned round: its probability is nearly the same for all.
    scale = max(float(weights[0] / spread), _TINY)
    return Calibration("platt", scale, float(weights[1] - scale * middle), queries=queries)


def _isotonic(sums: Values, relevant: NDArray[np.bool_], queries: int) -> Calibration:
    """Isotonic regression over bins of equal numbers, by pooling adjacent violators."""
    order = np.argsort(sums, kind="stable")
    blocks: list[list[float]] = []  # the sum of the sums, of the relevant, and the number
    for part in np.array_split(order, min(_BINS, len(order))):
        blocks.append([float(sums[part].sum()), float(relevant[part].sum()), float(len(part))])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    # One candidate of the usual share is added to each block: no probability is exactly 0 or 1.
    share = float(relevant.mean())
    shares = np.maximum.accumulate([(right + share) / (count + 1) for _, right, count in blocks])
    points = [(total / count, float(p)) for (total, _, count), p in zip(blocks, shares, strict=True)]
    return Calibration("isotonic", points=tuple(points), queries=queries)


_FITS: dict[Method, Callable[[Values, NDArray[np.bool_], int], Calibration]] = {
    "platt": _platt,
    "isotonic": _isotonic,
}


@dataclass(frozen=True, slots=True)
class ModelCalibration:
    """Calibrations for everything that a model can rank by.

    Attributes:
        alone: For the logit alone.
        interpolation: The weights with their calibrations; None if there are none.
        reports: The reports by what is ranked by, such as ``with similarity and words``; ``alone`` first.
    """

    alone: Calibration
    interpolation: Interpolation | None
    reports: dict[str, CalibrationReport]

    def save(self, folder: Path) -> None:
        """Write the calibrations to the crossrank.json of a model's folder.

        Raises:
            OSError: The file cannot be written.
        """
        file = folder / "crossrank.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        known["calibration"] = asdict(self.alone)
        if self.interpolation is not None:
            known["interpolation"] = asdict(self.interpolation)
        write_settings(folder, known)


def calibrate_model(
    interpolation: Interpolation | None,
    judged: Sequence[JudgedQuery],
    *,
    searched: Interpolation | None = None,
) -> ModelCalibration:
    """Calibrate the logit alone, and each choice of weights whose evidence the candidates have.

    Only the three best candidates of each query count, since these are the hits that a search returns. Of all
    candidates, most are not relevant whatever their logit is, and the probabilities of hits would be too low.

    Args:
        interpolation: The weights.
        judged: Judged candidates with their logits, from
            :func:`~crossrank.evaluation.judged.judged_queries`.
        searched: The same weights as the search uses them, if it rescales them for its own embedder
            (:func:`crossrank.search.rescaled_interpolation`). The calibrations are of these, and are kept
            with ``interpolation``.

    Raises:
        InputError: There are too few judged queries; see :func:`calibrate`.
    """
    reports = {"alone": calibrate([one.best(None) for one in judged])}
    alone = reports["alone"].calibration
    if interpolation is None:
        return ModelCalibration(alone, None, reports)
    searched = searched or interpolation
    known = shared_evidence(judged)
    if any(one.embedder != searched.fingerprint for query in judged for one in query.candidates):
        known -= {SIMILARITY}
    weights = []
    for own, used in zip(interpolation.weights, searched.weights, strict=True):
        if own.evidence.keys() <= known:
            reports[own.name] = calibrate([one.best(used) for one in judged])
            weights.append(replace(own, calibration=reports[own.name].calibration))
        else:
            weights.append(own)
    return ModelCalibration(alone, replace(interpolation, weights=tuple(weights)), reports)
