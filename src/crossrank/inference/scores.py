"""How a model's raw output becomes a logit and a relevance score.

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

``CrossEncoder.predict`` follows sentence-transformers: with several labels it returns all outputs, with the
saved activation, or by default without one.

With ``activation="none"`` the score is the logit. An activation is applied once, and a score never depends on
the other candidates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.inference.activations import Activation, activated, activation_of, saved_activation
from crossrank.inference.chains import scoring_chain
from crossrank.models.damage import refuses_damage
from crossrank.models.folder import ModelFolder

# Common names of the label that means "this passage answers this query".
_RELEVANT = frozenset({"relevant", "is_relevant", "relevance", "yes", "true", "match", "1", "positive"})
# Two-label rerankers by nboost and amberoad, whose configuration has the names LABEL_0 and LABEL_1; their
# publishers rank by the second. Identified by the last part of their name, since they are converted first.
_SECOND_IS_RELEVANT = frozenset(
    {
        "pt-bert-base-uncased-msmarco",
        "pt-bert-large-msmarco",
        "pt-tinybert-msmarco",
        "bert-multilingual-passage-reranking-msmarco",
    }
)


@dataclass(frozen=True, slots=True)
class Scoring:
    """How one model's raw outputs become logits and scores.

    Attributes:
        labels: The number of outputs.
        relevant: The index of the output that means relevant; None if it is not known and the model cannot
            rank.
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


@refuses_damage
def scoring_of(model: ModelFolder) -> Scoring:
    """Read off a model's configuration what its outputs mean.

    Raises:
        ModelError: It was saved with an unknown activation, or its number of labels is none.
        MissingExtraError: It was saved with an activation that only PyTorch has.
    """
    saved, given, chain = saved_activation(model), model.config.get("id2label"), scoring_chain(model)
    # Neither need be in config.json; the load then checks that there is one output.
    labels = chain.labels or model.config.get("num_labels")
    if labels is None:
        labels = len(given) if isinstance(given, dict) else 1
    if not isinstance(labels, int):
        raise ModelError(
            f"{model.name}: num_labels in config.json must be a whole number; it is {labels!r:.80}"
        )
    if labels == 1 or chain.task == "text-generation":
        return Scoring(1, 0, saved or "sigmoid")
    names = {int(i): str(name) for i, name in given.items()} if isinstance(given, dict) else {}
    if len(names) != labels and chain.labels is not None:
        names = {}  # config.json speaks of the transformer, not of the modules after it
    relevant = [i for i, name in names.items() if name.lower().strip() in _RELEVANT]
    if Path(model.name).name in _SECOND_IS_RELEVANT:
        relevant = [1]
    known = relevant[0] if labels == 2 and len(relevant) == 1 else None
    return Scoring(labels, known, "sigmoid", saved or "none", tuple(names[i] for i in sorted(names)))
