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
    """A cross-encoder, with the arguments of LangChain's class of the same name.

    Each model is loaded once and shared by all objects and threads. It also works with LangChain's own
    ``CrossEncoderReranker``, but only crossrank's keeps the scores.

    Args:
        model_name: A bundled model, a folder, or a Hugging Face name.
        model_kwargs: Arguments of :class:`crossrank.CrossEncoder`, such as ``max_length``, ``device`` and
            ``activation_fn`` (also accepted as ``activation``).

    Raises:
        ModelError: The model cannot be loaded, or is not a reranker.
        InputError: The value of a keyword is not supported.
        UnknownKeywordError: A keyword is unknown.

    Example:
        >>> model = HuggingFaceCrossEncoder(model_kwargs={"device": "cpu"})
        >>> pairs = [("Who bakes bread?", "Bakers bake bread."), ("Who bakes bread?", "A tide table.")]
        >>> good, bad = model.score(pairs)
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
