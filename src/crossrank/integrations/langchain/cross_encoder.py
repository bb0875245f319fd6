"""A cross-encoder as LangChain's BaseCrossEncoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.integrations.langchain.keywords import check_keywords
from crossrank.integrations.langchain.scoring import ACTIVATION_KEYS, LogitCrossEncoder, activation_of
from crossrank.integrations.langchain.shared import SharedModel, shared_model
from crossrank.models.locate import DEFAULT_CROSS_ENCODER


class HuggingFaceCrossEncoder(LogitCrossEncoder):
    """A cross-encoder, with the arguments of LangChain's class of that name.

    A model is loaded once, however many objects and threads use it. It also fits LangChain's own
    ``CrossEncoderReranker``; ours keeps the scores.

    Args:
        model_name: A bundled model, a folder, or a Hugging Face name.
        model_kwargs: ``max_length``; ``threads``, how many processors to use; ``device``, such as ``"cuda"``;
            ``activation``, instead of the model's own (``"none"``, ``"sigmoid"``, ``"tanh"``), or
            ``activation_fn``, PyTorch's object for it. Others of sentence-transformers are accepted where
            they ask for what happens anyway, such as ``trust_remote_code=False``.

    Raises:
        ModelError: The model cannot be loaded, or is no reranker.
        InputError: A keyword is unknown, or asks for what cannot be done.

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
        """Check the keywords and load the model."""
        loading = ("device", "max_length", "threads")
        check_keywords("model_kwargs", self.model_kwargs, *loading, *ACTIVATION_KEYS)
        self._activation = activation_of(self.model_kwargs)
        options = {name: self.model_kwargs.get(name) for name in loading}
        self._shared = shared_model(CrossEncoder, self.model_name, options)

    @property
    def client(self) -> CrossEncoder:
        """The loaded model."""
        return self._shared.model

    @property
    def scorer(self) -> CrossEncoder:
        """The loaded model."""
        return self._shared.model
