"""A cross-encoder as LangChain's BaseCrossEncoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.scorer import for_ranking
from crossrank.integrations.langchain.scoring import ACTIVATION_KEYS, LogitCrossEncoder, given_activation
from crossrank.integrations.langchain.shared import SharedModel, shared_model
from crossrank.models.locate import DEFAULT_CROSS_ENCODER


class HuggingFaceCrossEncoder(LogitCrossEncoder):
    """A cross-encoder, with the arguments of LangChain's class of that name.

    A model is loaded once, however many objects and threads use it. It also fits LangChain's own
    ``CrossEncoderReranker``; ours keeps the scores.

    Args:
        model_name: A bundled model, a folder, or a Hugging Face name.
        model_kwargs: Those of :class:`crossrank.CrossEncoder`, such as ``max_length``, ``device`` and
            ``activation_fn``, which may also be written ``activation``.

    Raises:
        ModelError: The model cannot be loaded, or is no reranker.
        InputError: A keyword asks for what cannot be done.
        UnknownKeywordError: A keyword is not known.

    Example:
        >>> model = HuggingFaceCrossEncoder(model_kwargs={"device": "cpu"})
        >>> good, bad = model.score([("Who bakes?", "Bakers bake bread."), ("Who bakes?", "A tide table.")])
        >>> good > 0.5 > 0.1 > bad
        True
    """

    model_name: str | Path = DEFAULT_CROSS_ENCODER
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    _shared: SharedModel[CrossEncoder] = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Load the model."""
        self._activation = given_activation(self.model_kwargs)
        options = {name: value for name, value in self.model_kwargs.items() if name not in ACTIVATION_KEYS}
        self._shared = shared_model(CrossEncoder, self.model_name, options)
        for_ranking(self._shared.model)

    @property
    def client(self) -> CrossEncoder:
        """The loaded model."""
        return self._shared.model

    @property
    def scorer(self) -> CrossEncoder:
        """The loaded model."""
        return self._shared.model
