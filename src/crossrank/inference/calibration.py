"""Calibration: from what candidates are ranked by to the probability that a passage is relevant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.models.folder import ModelFolder

Method: TypeAlias = Literal["platt", "isotonic"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The probability that a passage is relevant, by the sum that its hit is ranked by.

    It holds for candidates like those that it was fitted on (:mod:`crossrank.evaluation.calibrating`), and
    never changes an order: a higher sum has no lower probability.

    Attributes:
        method: ``platt`` (a sigmoid of a scaled and shifted sum) or ``isotonic`` (a rising line through
            points).
        scale: For ``platt``; above 0.
        shift: For ``platt``.
        points: For ``isotonic``: pairs of a sum and a probability, both ascending. The first and last
            probability hold for all sums beyond.
        queries: The number of queries that it was fitted on.

    Example:
        >>> calibration = Calibration("platt", scale=1.0, shift=-2.0)
        >>> calibration.probabilities([2.0]).tolist()
        [0.5]

    Source:
        Platt, Probabilistic outputs for support vector machines (1999); Zadrozny and Elkan, Transforming
        classifier scores into accurate multiclass probability estimates (KDD 2002).
    """

    method: Method
    scale: float = 1.0
    shift: float = 0.0
    points: tuple[tuple[float, float], ...] = ()
    queries: int = 0

    def __post_init__(self) -> None:
        if self.method not in {"platt", "isotonic"}:
            raise ValueError(f"method is platt or isotonic; it is {self.method!r:.40}")
        if not isfinite(self.scale) or not isfinite(self.shift) or self.scale <= 0:
            raise ValueError("scale and shift are finite numbers, and scale is above 0")
        if self.method == "isotonic" and not self.points:
            raise ValueError("isotonic needs points")
        for values in zip(*self.points, strict=True):
            if not all(map(isfinite, values)) or list(values) != sorted(values):
                raise ValueError("points are finite numbers, and ascend")
        if not all(0 <= probability <= 1 for _, probability in self.points):
            raise ValueError("probabilities are from 0 to 1")

    def probabilities(self, sums: Sequence[float] | NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Sums of contributions [n] to probabilities [n]."""
        values = np.asarray(sums, np.float64)
        if self.method == "isotonic":
            known, probabilities = np.array(self.points).T
            return np.asarray(np.interp(values, known, probabilities))
        odds = self.scale * values + self.shift
        small = np.exp(-np.abs(odds))
        return np.where(odds >= 0, 1 / (1 + small), small / (1 + small))


def calibration_from(saved: Mapping[str, Any] | None) -> Calibration | None:
    """A calibration as it is saved in JSON; None stays None.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: It is malformed.
    """
    if saved is None:
        return None
    points = tuple((float(known), float(probability)) for known, probability in saved.get("points") or ())
    scale, shift = float(saved.get("scale", 1.0)), float(saved.get("shift", 0.0))
    return Calibration(saved["method"], scale, shift, points, int(saved.get("queries", 0)))


def calibration_of(model: ModelFolder) -> Calibration | None:
    """Read the calibration of a model's logit alone from its crossrank.json; None if it has none.

    Raises:
        ModelError: The entry exists and is malformed.
    """
    saved = model.json("crossrank.json").get("calibration")
    try:
        return calibration_from(saved)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{model.name}: 'calibration' in crossrank.json must have a method, platt with scale and shift, "
            f"or isotonic with points; it is {saved!r:.100}"
        ) from error


def check_min_probability(value: object) -> None:
    """Refuse what is no probability.

    Raises:
        InputError: It is not a number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"min_probability must be a number from 0 to 1; it is {value!r:.40}")
