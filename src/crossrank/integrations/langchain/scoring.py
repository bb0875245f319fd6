"""The base class of crossrank's cross-encoders for LangChain."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from langchain_core.cross_encoders import BaseCrossEncoder
from pydantic import ConfigDict, PrivateAttr

from crossrank.inference.activations import Activation, activation_of
from crossrank.inference.scorer import PairScorer
from crossrank.integrations.langchain.own_errors import OwnErrors

ACTIVATION_KEYS = ("activation", "activation_fn", "default_activation_function")


class LogitCrossEncoder(OwnErrors, BaseCrossEncoder):
    """A ``BaseCrossEncoder`` that also returns logits, so that a reranker can keep them."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    _activation: Activation | None = PrivateAttr(default=None)

    @property
    @abstractmethod
    def scorer(self) -> PairScorer:
        """The cross-encoder that computes the logits."""

    @property
    def activation(self) -> Activation:
        """The function from logit to score: the model's own, unless ``model_kwargs`` has another."""
        return self._activation or self.scorer.scoring.activation

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Relevance scores of (query, passage) pairs.

        Sigmoid and tanh are computed in double precision, so that scores close to 1 keep the order of the
        logits.
        """
        logits, _ = self.scorer.logits([(query, passage) for query, passage in text_pairs])
        exact = logits.astype(np.float64)
        if self.activation == "sigmoid":
            # exp of the smaller of x and 0 cannot overflow, and neither can that of -|x|.
            exact = np.exp(np.minimum(exact, 0)) / (1 + np.exp(-np.abs(exact)))
        elif self.activation == "tanh":
            exact = np.tanh(exact)
        elif self.activation != "none":
            exact = self.scorer.scoring.scores(logits, self.activation).astype(np.float64)
        scores: list[float] = exact.tolist()
        return scores


def given_activation(keywords: Mapping[str, Any]) -> Activation | None:
    """The activation in ``model_kwargs``; None if there is none.

    Raises:
        InputError: The activation does not exist.
    """
    given = (keywords[key] for key in ACTIVATION_KEYS if keywords.get(key) is not None)
    return activation_of(next(given, None))
