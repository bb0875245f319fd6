"""Combine a cross-encoder's logit with the evidence of the first stage.

The three make different errors: the similarity compares topics, the word match compares words, and the
cross-encoder estimates whether a passage answers the question. If a model has weights for them in its
crossrank.json, candidates are ranked by the weighted sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import copysign, exp, isfinite, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.errors import ModelError
from crossrank.inference.calibration import Calibration, calibration_from
from crossrank.models.folder import ModelFolder


@dataclass(frozen=True, slots=True)
class LogitForecast:
    """What the evidence for a passage says about its logit, before the cross-encoder has read it.

    Within a query, what the logit adds to the sum is a constant plus ``slope`` times the evidence's sum, with
    errors of which ``tail`` says how often they are how large. Fitted on questions that the model did not
    learn from.

    Attributes:
        slope: What the logit adds for each unit of evidence.
        spread: The standard deviation of the errors.
        tail: Pairs of a number of standard deviations and the share of errors above it, ascending.

    Example:
        >>> forecast = LogitForecast(slope=0.5, spread=0.4, tail=((0.0, 0.5), (2.0, 0.01), (4.0, 0.0001)))
        >>> [float(round(share, 4)) for share in forecast.shares_above(np.array([-1.0, 1.0, 3.0]))]
        [0.5, 0.0707, 0.001]
    """

    slope: float
    spread: float
    tail: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        deviations, shares = zip(*self.tail, strict=True)
        if not all(map(isfinite, (self.slope, self.spread, *deviations))) or self.spread <= 0:
            raise ValueError("slope, spread and the tail's deviations are finite, and spread is above 0")
        if not all(0 < share <= 1 for share in shares) or list(deviations) != sorted(deviations):
            raise ValueError("the tail's deviations ascend, and its shares are above 0 and at most 1")

    def shares_above(self, deviations: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of errors above each number of standard deviations; the last share beyond the tail."""
        known, shares = np.array(self.tail).T
        return np.asarray(np.exp(np.interp(deviations, known, np.log(shares))))


@dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """Weights for combining a cross-encoder's logit and the evidence for a passage into one logit.

    Attributes:
        logit: Weight of the cross-encoder's logit.
        constant: The constant term.
        similarity: Weight of the bi-encoder's similarity; None if it is not used.
        word_match: Weight of the word match; None if it is not used.
        doubt: The probability, from 0 to below 0.5, that the cross-encoder is wrong regardless of its logit.
            The logit's log-odds are bounded accordingly before they are weighted, because a model is
            overconfident on texts unlike its training data and should not dominate the sum then.
        forecast: What the evidence says about the logit; None if that was not fitted.
        calibration: The probability that a passage is relevant, by the combined logit; None if that was not
            fitted.

    Example:
        >>> weights = EvidenceWeights(logit=0.5, constant=-4.0, similarity=8.0)
        >>> weights.contributions(2.0, {"similarity": 0.5})
        {'logit': 1.0, 'similarity': 4.0, 'constant': -4.0}
        >>> cautious = EvidenceWeights(logit=1.0, constant=0.0, word_match=3.0, doubt=0.1)
        >>> [round(cautious.combine(logit, {"word_match": 0.0}), 2) for logit in (4.0, 40.0)]
        [2.05, 2.2]

    Source:
        The doubt is the noise rate of a label that may be flipped: Angluin and Laird (1988), Learning From
        Noisy Examples, https://doi.org/10.1007/BF00116829.
    """

    logit: float
    constant: float
    similarity: float | None = None
    word_match: float | None = None
    doubt: float = 0.0
    forecast: LogitForecast | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.doubt < 0.5:
            raise ValueError(f"doubt is from 0 to below 0.5; it is {self.doubt}")
        if not all(isfinite(weight) for weight in (self.logit, self.constant, *self.evidence.values())):
            raise ValueError("weights are finite numbers")

    @property
    def evidence(self) -> dict[str, float]:
        """The weight of each kind of evidence that is part of the sum, by its name."""
        both = {SIMILARITY: self.similarity, WORD_MATCH: self.word_match}
        return {name: weight for name, weight in both.items() if weight is not None}

    @property
    def name(self) -> str:
        """The evidence that is used, for display, such as ``with similarity``."""
        return "with " + " and ".join({WORD_MATCH: "words"}.get(name, name) for name in self.evidence)

    @property
    def is_bounded(self) -> bool:
        """Whether there is a most that the logit can add to the sum."""
        return self.logit == 0 or (self.doubt > 0 and self.logit > 0)

    def contributions(self, logit: float, evidence: Mapping[str, float]) -> dict[str, float]:
        """The terms of the sum: ``logit``, each kind of evidence by its name, and ``constant``.

        Args:
            logit: The cross-encoder's logit.
            evidence: The evidence for the passage; must include every kind that has a weight.
        """
        own = _doubted(logit, self.doubt) if self.doubt else logit
        counted = self.logit * own if self.logit else 0.0  # also where the logit is not bounded
        added = {name: weight * float(evidence[name]) for name, weight in self.evidence.items()}
        return {"logit": counted, **added, "constant": self.constant}

    def rescaled(self, ratio: float, shift: float) -> EvidenceWeights:
        """The weights for similarities s of another scale, where ``ratio * s + shift`` is on this one."""
        if self.similarity is None:
            return self
        constant = self.constant + self.similarity * shift
        # What weaker embedders know says less about the logit than the forecast promises.
        return replace(self, similarity=self.similarity * ratio, constant=constant, forecast=None)

    def combine(self, logit: float, evidence: Mapping[str, float]) -> float:
        """The combined logit: the sum of the :meth:`contributions`."""
        return sum(self.contributions(logit, evidence).values())


def _doubted(logit: float, doubt: float) -> float:
    """The log-odds of relevance if the cross-encoder is wrong with this probability."""
    small = exp(-abs(logit))
    less_likely = doubt + (1 - 2 * doubt) * small / (1 + small)
    return copysign(log((1 - less_likely) / less_likely), logit)


@dataclass(frozen=True, slots=True)
class SimilarityScale:
    """How large an embedder's similarities are: over the same questions and passages for every embedder.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation, above 0.

    Raises:
        ValueError: A number is not finite, or the deviation is not above 0.
    """

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        if not (isfinite(self.mean) and isfinite(self.deviation) and self.deviation > 0):
            raise ValueError("mean and deviation are finite, and the deviation is above 0")


@dataclass(frozen=True, slots=True)
class Interpolation:
    """A model's weights for combining its logit with evidence.

    Attributes:
        embedder: The name of the bi-encoder that the similarity weights were fitted for, for messages.
        fingerprint: The fingerprint (:attr:`crossrank.BiEncoder.fingerprint`) of the bi-encoder whose
            similarities they are for: the same one, or another that they were rescaled for.
        weights: Weights for each combination of evidence.
        scale: How large the similarities of the embedder with this fingerprint are; None if that was not
            measured.

    Example:
        >>> by_words = EvidenceWeights(logit=0.9, constant=-1.0, word_match=3.0)
        >>> interpolation = Interpolation("all-MiniLM-L6-v2", "8f14e45f", (by_words,))
        >>> interpolation.weights_for({"similarity", "word_match"}) == by_words
        True
    """

    embedder: str
    fingerprint: str
    weights: tuple[EvidenceWeights, ...]
    scale: SimilarityScale | None = None

    def weights_for(self, known: set[str]) -> EvidenceWeights | None:
        """The weights that use most of the known evidence; None if there are none."""
        usable = (weights for weights in self.weights if weights.evidence.keys() <= known)
        return max(usable, key=lambda weights: len(weights.evidence), default=None)

    @property
    def takes_similarity(self) -> bool:
        """Whether any of the weights use a similarity."""
        return any(weights.similarity is not None for weights in self.weights)

    def rescaled_for(self, fingerprint: str, scale: SimilarityScale) -> Interpolation:
        """The weights for similarities of another embedder.

        A similarity that is as many standard deviations above its embedder's mean counts as much as before.

        Args:
            fingerprint: The other embedder's.
            scale: How large its similarities are.

        Raises:
            ValueError: This interpolation has no scale.

        Example:
            >>> weights = EvidenceWeights(logit=1.0, constant=-1.0, similarity=8.0)
            >>> own = Interpolation("all-MiniLM-L6-v2", "8f14e45f", (weights,), SimilarityScale(0.0, 0.1))
            >>> [other] = own.rescaled_for("c9f0f895", SimilarityScale(0.7, 0.05)).weights
            >>> [round(one.combine(0.0, {"similarity": s}), 6) for one, s in ((weights, 0.3), (other, 0.85))]
            [1.4, 1.4]
        """
        if self.scale is None:
            raise ValueError("there is no scale of the similarities that the weights were fitted for")
        ratio = self.scale.deviation / scale.deviation
        shift = self.scale.mean - ratio * scale.mean
        weights = tuple(one.rescaled(ratio, shift) for one in self.weights)
        return replace(self, fingerprint=fingerprint, weights=weights, scale=scale)


def interpolation_of(model: ModelFolder) -> Interpolation | None:
    """Read a model's interpolation from its crossrank.json; None if it has none.

    Raises:
        ModelError: The entry exists and is malformed.
    """
    saved = model.json("crossrank.json").get("interpolation")
    if saved is None:
        return None
    try:
        return interpolation_from(saved)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{model.name}: 'interpolation' in crossrank.json must have embedder, fingerprint, and weights, "
            "a list of objects with logit, constant, and similarity, word_match or both, finite numbers; "
            f"scale, if there is one, has mean and deviation, which is above 0; it is {saved!r:.100}"
        ) from error


def interpolation_from(saved: Mapping[str, Any]) -> Interpolation:
    """An interpolation as it is saved in JSON.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: It is malformed.
    """
    weights = tuple(map(_weights, saved["weights"]))
    scale = saved.get("scale")
    return Interpolation(
        str(saved["embedder"]),
        str(saved["fingerprint"]),
        weights,
        None if scale is None else SimilarityScale(float(scale["mean"]), float(scale["deviation"])),
    )


def _weights(saved: Mapping[str, Any]) -> EvidenceWeights:
    evidence = {name: float(saved[name]) for name in (SIMILARITY, WORD_MATCH) if saved.get(name) is not None}
    if not evidence:
        raise ValueError("neither similarity nor word_match")
    forecast = saved.get("forecast")
    return EvidenceWeights(
        float(saved["logit"]),
        float(saved["constant"]),
        **evidence,
        doubt=float(saved.get("doubt") or 0.0),
        forecast=None if forecast is None else _forecast(forecast),
        calibration=calibration_from(saved.get("calibration")),
    )


def _forecast(saved: Mapping[str, Any]) -> LogitForecast:
    tail = tuple((float(deviations), float(share)) for deviations, share in saved["tail"])
    return LogitForecast(float(saved["slope"]), float(saved["spread"]), tail)
