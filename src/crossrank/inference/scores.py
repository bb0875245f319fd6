"""What a score is: from a model's raw output to a logit and a relevance score.

================  =======================================  ==========================================
a model with      ``Hit.logit`` is, in float32             ``Hit.score`` is
================  =======================================  ==========================================
one label         its raw output                           the activation saved with the model,
                                                           else sigmoid (sentence-transformers' rule)
a language        logit of *yes* less that of *no*         as with one label; sigmoid equals the
model's answer                                             probability of *yes* among the two
two labels, one   relevant output minus the other          sigmoid of that, which equals the softmax
known as          (the log-odds of relevance)              probability of the relevant label
relevant
more labels       refused: none is known to mean           refused
                  relevance
================  =======================================  ==========================================

``CrossEncoder.predict`` is sentence-transformers': with several labels it gives all outputs, through the
saved activation or, by default, as they are.

``activation="none"`` makes the score the logit. An activation is applied once, and scores are never scaled
by what they were ranked with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import copysign, exp, log
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.inference.activations import Activation, activated, activation_of, saved_activation
from crossrank.inference.prompting import is_language_model
from crossrank.models.folder import ModelFolder

# The names that people give to the label that means "this passage answers this query".
_RELEVANT = frozenset({"relevant", "is_relevant", "relevance", "yes", "true", "match", "1", "positive"})
# Two-label rerankers, by nboost and amberoad, whose configuration keeps the names LABEL_0 and LABEL_1; their
# publishers rank by the second. Known by the last part of their name, since they have to be converted first.
_SECOND_IS_RELEVANT = frozenset(
    {
        "pt-bert-base-uncased-msmarco",
        "pt-bert-large-msmarco",
        "pt-tinybert-msmarco",
        "bert-multilingual-passage-reranking-msmarco",
    }
)


@dataclass(frozen=True, slots=True)
class Weights:
    """How a cross-encoder's logit and what the first stage knows of a passage add up to one logit.

    Attributes:
        logit: What the cross-encoder's logit is multiplied by.
        constant: What is added.
        similarity: What the bi-encoder's similarity is multiplied by; None: it is no part of the sum.
        word_match: What the word match is multiplied by; None: it is no part of the sum.
        doubt: How likely it is, from 0 to below 0.5, that the cross-encoder is wrong whatever it says. The
            logit's log-odds are bounded accordingly before they are multiplied: a model that was trained on
            other texts is sure too often, and should not outvote all the rest then.

    Example:
        >>> Weights(logit=0.5, constant=-4.0, similarity=8.0).combine(2.0, similarity=0.5)
        1.0
        >>> cautious = Weights(logit=1.0, constant=0.0, word_match=3.0, doubt=0.1)
        >>> round(cautious.combine(4.0), 2), round(cautious.combine(40.0), 2)
        (2.05, 2.2)

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

    @property
    def name(self) -> str:
        """What is added to the logit, for a person: ``with similarity``, say."""
        added = {"similarity": self.similarity, "words": self.word_match}
        return "with " + " and ".join(name for name, weight in added.items() if weight is not None)

    def combine(self, logit: float, similarity: float = 0.0, word_match: float = 0.0) -> float:
        """One logit of all that are parts of the sum."""
        return (
            self.logit * (_doubted(logit, self.doubt) if self.doubt else logit)
            + (self.similarity or 0.0) * similarity
            + (self.word_match or 0.0) * word_match
            + self.constant
        )


def _doubted(logit: float, doubt: float) -> float:
    """The log-odds of relevance where what the logit says is wrong with this probability."""
    small = exp(-abs(logit))
    less_likely = doubt + (1 - 2 * doubt) * small / (1 + small)
    return copysign(log((1 - less_likely) / less_likely), logit)


@dataclass(frozen=True, slots=True)
class Interpolation:
    """How a cross-encoder's logit goes together with what first stages know.

    The three err differently: a similarity knows what a passage is about, a word match which words it has,
    and a cross-encoder whether it answers.

    Attributes:
        embedder: The name of the bi-encoder that the weights of similarities are for.
        weights: One for each choice of parts.

    Example:
        >>> by_words = Weights(logit=0.9, constant=-1.0, word_match=3.0)
        >>> interpolation = Interpolation("all-MiniLM-L6-v2", (by_words,))
        >>> interpolation.weights_for(similarity=True, word_match=True) == by_words
        True
    """

    embedder: str
    weights: tuple[Weights, ...]

    def weights_for(self, *, similarity: bool, word_match: bool) -> Weights | None:
        """The weights that take most of what is known; None where there are none for it."""
        known = (
            weights
            for weights in self.weights
            if (similarity or weights.similarity is None) and (word_match or weights.word_match is None)
        )
        return max(known, key=_parts, default=None)

    @property
    def takes_words(self) -> bool:
        """Whether a word match is part of any of the sums."""
        return any(weights.word_match is not None for weights in self.weights)


def _parts(weights: Weights) -> int:
    return (weights.similarity is not None) + (weights.word_match is not None)


def interpolation_of(model: ModelFolder) -> Interpolation | None:
    """Read a model's own interpolation from its crossrank.json; None where it has none.

    Raises:
        ModelError: It is there and is not what it should be.
    """
    saved = model.json("crossrank.json").get("interpolation")
    if saved is None:
        return None
    try:
        return Interpolation(str(saved["embedder"]), tuple(map(_weights, saved["weights"])))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{model.name}: 'interpolation' in crossrank.json must have embedder, and weights, a list of "
            "objects with logit, constant, and similarity, word_match or both; "
            f"it is {saved!r:.100}"
        ) from error


def _weights(saved: Mapping[str, Any]) -> Weights:
    parts = {name: float(saved[name]) for name in ("similarity", "word_match") if saved.get(name) is not None}
    if not parts:
        raise ValueError("neither similarity nor word_match")
    return Weights(
        float(saved["logit"]), float(saved["constant"]), **parts, doubt=float(saved.get("doubt") or 0.0)
    )


@dataclass(frozen=True, slots=True)
class Scoring:
    """How one model's raw outputs become logits and scores.

    Attributes:
        labels: How many outputs the model has.
        relevant: Which of them means relevant; None: that is not known, so that it cannot rank.
        activation: The model's own activation, from logit to score.
        of_outputs: What ``predict`` applies to several outputs.
        names: What config.json calls the outputs, where it does.
    """

    labels: int
    relevant: int | None
    activation: Activation
    of_outputs: Activation = "none"
    names: tuple[str, ...] = field(default=(), compare=False)

    @property
    def predicting(self) -> Activation:
        """What ``predict`` applies to the outputs."""
        return self.activation if self.labels == 1 else self.of_outputs

    def predicting_by(self, activation: Activation) -> Scoring:
        """The same with another activation for ``predict``."""
        return (
            replace(self, activation=activation) if self.labels == 1 else replace(self, of_outputs=activation)
        )

    def logits(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw outputs [n, labels] to logits [n]."""
        if self.labels == 1:
            return outputs[:, 0]
        assert self.relevant is not None, "the caller has checked that it can rank"
        return cast("NDArray[np.float32]", outputs[:, self.relevant] - outputs[:, 1 - self.relevant])

    def scores(self, logits: NDArray[np.float32], activation: object = None) -> NDArray[np.float32]:
        """Logits [n] to relevance scores [n]; by the model's own activation unless another is given.

        Raises:
            InputError: There is no such activation.
        """
        return activated(logits[:, None], activation_of(activation) or self.activation)[:, 0]

    def predictions(self, outputs: NDArray[np.float32], activation: object = None) -> NDArray[np.float32]:
        """Raw outputs [n, labels] to what ``predict`` gives: [n] with one label, else [n, labels].

        Raises:
            InputError: There is no such activation.
        """
        given = activated(outputs, activation_of(activation) or self.predicting)
        return given[:, 0] if self.labels == 1 else given


def scoring_of(model: ModelFolder) -> Scoring:
    """Read off a model's configuration what its outputs mean.

    Raises:
        ModelError: It was saved with an activation that nobody has.
        MissingExtraError: It was saved with an activation that only PyTorch has.
    """
    saved, given = saved_activation(model), model.config.get("id2label")
    # Neither need be in config.json; the load then checks that there is one output.
    labels = model.config.get("num_labels", len(given) if isinstance(given, dict) else 1)
    if labels == 1 or is_language_model(model):
        return Scoring(1, 0, saved or "sigmoid")
    names = {int(i): str(name) for i, name in given.items()} if isinstance(given, dict) else {}
    relevant = [i for i, name in names.items() if name.lower().strip() in _RELEVANT]
    if Path(model.name).name in _SECOND_IS_RELEVANT:
        relevant = [1]
    known = relevant[0] if labels == 2 and len(relevant) == 1 else None
    return Scoring(labels, known, "sigmoid", saved or "none", tuple(names[i] for i in sorted(names)))
