"""How a cross-encoder's logit goes together with what first stages know of a passage.

The three err differently: a similarity knows what a passage is about, a word match which words it has, and a
cross-encoder whether it answers. A model that says so in its crossrank.json is ranked by their weighted sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import copysign, exp, isfinite, log
from typing import Any

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.errors import ModelError
from crossrank.models.folder import ModelFolder


@dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """How a cross-encoder's logit and the evidence for a passage add up to one logit.

    Attributes:
        logit: What the cross-encoder's logit is multiplied by.
        constant: What is added.
        similarity: What the bi-encoder's similarity is multiplied by; None: it is no part of the sum.
        word_match: What the word match is multiplied by; None: it is no part of the sum.
        doubt: How likely it is, from 0 to below 0.5, that the cross-encoder is wrong whatever it says. The
            logit's log-odds are bounded accordingly before they are multiplied: a model that was trained on
            other texts is sure too often, and should not outvote all the rest then.

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
        """What is added to the logit, for a person: ``with similarity``, say."""
        return "with " + " and ".join({WORD_MATCH: "words"}.get(name, name) for name in self.evidence)

    def contributions(self, logit: float, evidence: Mapping[str, float]) -> dict[str, float]:
        """What each part adds: ``logit``, each kind of evidence by its name, and ``constant``.

        Args:
            logit: The cross-encoder's.
            evidence: What is known of the passage; it has all that these weights are for.
        """
        own = _doubted(logit, self.doubt) if self.doubt else logit
        added = {name: weight * float(evidence[name]) for name, weight in self.evidence.items()}
        return {"logit": self.logit * own, **added, "constant": self.constant}

    def combine(self, logit: float, evidence: Mapping[str, float]) -> float:
        """One logit: the sum of the :meth:`contributions`."""
        return sum(self.contributions(logit, evidence).values())


def _doubted(logit: float, doubt: float) -> float:
    """The log-odds of relevance where what the logit says is wrong with this probability."""
    small = exp(-abs(logit))
    less_likely = doubt + (1 - 2 * doubt) * small / (1 + small)
    return copysign(log((1 - less_likely) / less_likely), logit)


@dataclass(frozen=True, slots=True)
class Interpolation:
    """What a model says of how its logit goes together with evidence.

    Attributes:
        embedder: The name of the bi-encoder that the weights of similarities are for, for messages.
        fingerprint: Its fingerprint (:attr:`crossrank.BiEncoder.fingerprint`), by which it is recognised.
        weights: One for each choice of evidence.

    Example:
        >>> by_words = EvidenceWeights(logit=0.9, constant=-1.0, word_match=3.0)
        >>> interpolation = Interpolation("all-MiniLM-L6-v2", "8f14e45f", (by_words,))
        >>> interpolation.weights_for({"similarity", "word_match"}) == by_words
        True
    """

    embedder: str
    fingerprint: str
    weights: tuple[EvidenceWeights, ...]

    def weights_for(self, known: set[str]) -> EvidenceWeights | None:
        """The weights that take most of the evidence that is known; None where there are none for it."""
        usable = (weights for weights in self.weights if weights.evidence.keys() <= known)
        return max(usable, key=lambda weights: len(weights.evidence), default=None)

    @property
    def takes_similarity(self) -> bool:
        """Whether a similarity is part of any of the sums."""
        return any(weights.similarity is not None for weights in self.weights)


def interpolation_of(model: ModelFolder) -> Interpolation | None:
    """Read a model's own interpolation from its crossrank.json; None where it has none.

    Raises:
        ModelError: It is there and is not what it should be.
    """
    saved = model.json("crossrank.json").get("interpolation")
    if saved is None:
        return None
    try:
        weights = tuple(map(_weights, saved["weights"]))
        return Interpolation(str(saved["embedder"]), str(saved["fingerprint"]), weights)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{model.name}: 'interpolation' in crossrank.json must have embedder, fingerprint, and weights, "
            "a list of objects with logit, constant, and similarity, word_match or both, finite numbers; "
            f"it is {saved!r:.100}"
        ) from error


def _weights(saved: Mapping[str, Any]) -> EvidenceWeights:
    evidence = {name: float(saved[name]) for name in (SIMILARITY, WORD_MATCH) if saved.get(name) is not None}
    if not evidence:
        raise ValueError("neither similarity nor word_match")
    return EvidenceWeights(
        float(saved["logit"]), float(saved["constant"]), **evidence, doubt=float(saved.get("doubt") or 0.0)
    )
