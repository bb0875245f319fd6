"""What our cross-encoders for LangChain have in common, wherever their model runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, cast, get_args

import numpy as np
from langchain_core.cross_encoders import BaseCrossEncoder
from pydantic import BaseModel, ConfigDict, PrivateAttr

from crossrank.errors import InputError
from crossrank.inference.scorer import PairScorer
from crossrank.inference.scores import ActivationName, activation_named

ACTIVATION_KEYS = ("activation", "activation_fn", "default_activation_function")


class LogitCrossEncoder(BaseModel, BaseCrossEncoder):
    """A ``BaseCrossEncoder`` whose logits are known, so that a reranker can keep them with the scores."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    _activation: ActivationName | None = PrivateAttr(default=None)

    @property
    @abstractmethod
    def scorer(self) -> PairScorer:
        """What gives the logits."""

    @property
    def activation(self) -> ActivationName:
        """What turns a logit into a score: the model's own, unless ``model_kwargs`` name another."""
        return self._activation or self.scorer.scoring.activation

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Relevance scores of (query, passage) pairs: logits through the activation.

        The activation is computed in double precision, so that pairs whose scores would both round to 1 in
        single precision still compare as their logits do.
        """
        logits, _ = self.scorer.logits([(query, passage) for query, passage in text_pairs])
        exact = logits.astype(np.float64)
        if self.activation == "sigmoid":
            # exp of the smaller of x and 0 cannot overflow, and neither can that of -|x|.
            exact = np.exp(np.minimum(exact, 0)) / (1 + np.exp(-np.abs(exact)))
        elif self.activation == "tanh":
            exact = np.tanh(exact)
        scores: list[float] = exact.tolist()
        return scores


def activation_of(keywords: Mapping[str, Any]) -> ActivationName | None:
    """The activation that ``model_kwargs`` name; None where they name none.

    Raises:
        InputError: It is not known.
    """
    given = next((keywords[key] for key in ACTIVATION_KEYS if keywords.get(key) is not None), None)
    if not isinstance(given, str):
        return activation_named(given)
    if given not in get_args(ActivationName):
        raise InputError(f"activation must be one of {', '.join(get_args(ActivationName))}; it is {given!r}")
    return cast("ActivationName", given)
