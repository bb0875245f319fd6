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

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

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
