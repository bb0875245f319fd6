"""A cross-encoder as LangChain's BaseCrossEncoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from langchain_core.cross_encoders import BaseCrossEncoder
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from crossrank.errors import InputError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.scores import ActivationName, activation_named
from crossrank.integrations.langchain.keywords import check_keywords
from crossrank.integrations.langchain.shared import SharedModel, shared_model
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

_ACTIVATION_KEYS = ("activation", "activation_fn", "default_activation_function")


class HuggingFaceCrossEncoder(BaseModel, BaseCrossEncoder):
    """A cross-encoder, with the arguments of LangChain's class of that name.

    A model is loaded once, however many objects and threads use it. It also fits LangChain's own
    ``CrossEncoderReranker``; ours keeps the scores.

    Args:
        model_name: A bundled model, a folder, or a Hugging Face name.
        model_kwargs: ``max_length``; ``threads``, how many processors to use; ``activation``, instead of the
            model's own (``"none"``, ``"sigmoid"``, ``"tanh"``), or ``activation_fn``, PyTorch's object for
            it. Others of sentence-transformers are accepted where they ask for what happens anyway, such
            as ``device="cpu"``.

    Raises:
        ModelError: The model cannot be loaded, or is no reranker.
        InputError: A keyword is unknown, or asks for what cannot be done.

    Example:
        >>> model = HuggingFaceCrossEncoder(model_kwargs={"device": "cpu"})
        >>> good, bad = model.score([("Who bakes?", "Bakers bake bread."), ("Who bakes?", "A tide table.")])
        >>> good > 0.9 > 0.1 > bad
        True
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_name: str | Path = DEFAULT_CROSS_ENCODER
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    _shared: SharedModel[CrossEncoder] = PrivateAttr()
    _activation: ActivationName | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Check the keywords and load the model."""
        check_keywords("model_kwargs", self.model_kwargs, "max_length", "threads", *_ACTIVATION_KEYS)
        self._activation = _activation(self.model_kwargs)
        options = {name: self.model_kwargs.get(name) for name in ("max_length", "threads")}
        self._shared = shared_model(CrossEncoder, self.model_name, options)

    @property
    def client(self) -> CrossEncoder:
        """The loaded model."""
        return self._shared.model

    @property
    def activation(self) -> ActivationName:
        """What turns a logit into a score: the model's own, unless ``model_kwargs`` name another."""
        return self._activation or self.client.scoring.activation

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Relevance scores of (query, passage) pairs: logits through the activation.

        The activation is computed in double precision, so that pairs whose scores would both round to 1 in
        single precision still compare as their logits do.
        """
        logits, _ = self.client.logits([(query, passage) for query, passage in text_pairs])
        exact = logits.astype(np.float64)
        if self.activation == "sigmoid":
            # exp of the smaller of x and 0 cannot overflow, and neither can that of -|x|.
            exact = np.exp(np.minimum(exact, 0)) / (1 + np.exp(-np.abs(exact)))
        elif self.activation == "tanh":
            exact = np.tanh(exact)
        scores: list[float] = exact.tolist()
        return scores


def _activation(keywords: dict[str, Any]) -> ActivationName | None:
    given = next((keywords[key] for key in _ACTIVATION_KEYS if keywords.get(key) is not None), None)
    if not isinstance(given, str):
        return activation_named(given)
    if given not in get_args(ActivationName):
        raise InputError(f"activation must be one of {', '.join(get_args(ActivationName))}; it is {given!r}")
    return cast("ActivationName", given)
