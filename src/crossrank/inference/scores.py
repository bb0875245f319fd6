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

``activation="none"`` makes the score the logit. An activation is applied once, and scores are never scaled
by what they were ranked with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import copysign, exp, isfinite, log
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.inference.prompting import is_language_model
from crossrank.models.damage import refuses_damage
from crossrank.models.folder import ModelFolder

ActivationName: TypeAlias = Literal["none", "sigmoid", "tanh"]

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


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without overflow for any finite x."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


ACTIVATIONS: dict[ActivationName, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "none": lambda logits: logits,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
}
_SAVED: dict[str, ActivationName] = {"identity": "none", "sigmoid": "sigmoid", "tanh": "tanh"}


def activation_named(function: object) -> ActivationName | None:
    """The name of an activation that is given as PyTorch's object; None for None.

    Raises:
        InputError: It is none of those that are known.
    """
    if function is None:
        return None
    name = _SAVED.get(type(function).__name__.lower())
    if name is None:
        raise InputError(
            f"activation_fn must be torch.nn's Identity(), Sigmoid() or Tanh(); it is {function!r:.80}. "
            "activation='none' gives logits, to which anything can be applied"
        )
    return name


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
    parts = {n: _finite(saved[n]) for n in ("similarity", "word_match") if saved.get(n) is not None}
    if not parts:
        raise ValueError("neither similarity nor word_match")
    return Weights(
        _finite(saved["logit"]), _finite(saved["constant"]), **parts, doubt=_finite(saved.get("doubt") or 0.0)
    )


def _finite(value: Any) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"{number} is no number to multiply with")
    return number


@dataclass(frozen=True, slots=True)
class Scoring:
    """How one model's raw outputs become logits and scores.

    Attributes:
        labels: How many outputs the model has.
        relevant: Which of two means relevant.
        activation: The model's own activation.
    """

    labels: int
    relevant: int
    activation: ActivationName

    def logits(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw outputs [n, labels] to logits [n]."""
        if self.labels == 1:
            return outputs[:, 0]
        return cast("NDArray[np.float32]", outputs[:, self.relevant] - outputs[:, 1 - self.relevant])

    def scores(
        self, logits: NDArray[np.float32], activation: ActivationName | None = None
    ) -> NDArray[np.float32]:
        """Logits [n] to relevance scores [n]; by the model's own activation unless another is named.

        Raises:
            InputError: There is no activation of that name.
        """
        name = activation or self.activation
        if name not in ACTIVATIONS:
            raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}; it is {name!r}")
        return ACTIVATIONS[name](logits)


@refuses_damage
def scoring_of(model: ModelFolder) -> Scoring:
    """Read off a model's configuration what its outputs mean.

    Raises:
        ModelError: It has no output, or several of which none is known to mean relevance.
    """
    if is_language_model(model):
        return Scoring(1, 0, _saved_activation(model) or "sigmoid")
    names = model.config.get("id2label")
    # Neither need be in config.json; the load then checks that there is one output.
    labels = model.config.get("num_labels", len(names) if isinstance(names, dict) else 1)
    if labels == 1:
        return Scoring(1, 0, _saved_activation(model) or "sigmoid")
    by_index = {int(i): str(name) for i, name in names.items()} if isinstance(names, dict) else {}
    if labels == 2:
        if Path(model.name).name in _SECOND_IS_RELEVANT:
            return Scoring(2, 1, "sigmoid")
        relevant = [i for i, name in by_index.items() if name.lower().strip() in _RELEVANT]
        if len(relevant) == 1:
            return Scoring(2, relevant[0], "sigmoid")
    listed = ", ".join(by_index[i] for i in sorted(by_index)) or "unnamed"
    raise ModelError(
        f"{model.name} has {labels} labels ({listed}), none of which is known to mean relevance. A reranker "
        "has one label, or two of which one is named 'relevant' in config.json (id2label)."
    )


def _saved_activation(model: ModelFolder) -> ActivationName | None:
    nested = model.config.get("sentence_transformers")
    saved = (
        model.json("config_sentence_transformers.json").get("activation_fn")
        or (nested.get("activation_fn") if isinstance(nested, dict) else None)
        or model.config.get("sbert_ce_default_activation_function")
    )
    if not isinstance(saved, str) or not saved.startswith("torch."):
        return None
    name = saved.rsplit(".", 1)[-1].lower()
    if name not in _SAVED:
        raise ModelError(
            f"{model.name} was saved with the activation {saved}, which is not known here; "
            f"known: Identity, Sigmoid, Tanh"
        )
    return _SAVED[name]
