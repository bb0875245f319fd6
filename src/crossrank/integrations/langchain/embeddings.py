"""A bi-encoder as LangChain's Embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr

from crossrank.inference import Similarity
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.engines import Progress
from crossrank.inference.vectors import prepared
from crossrank.integrations.langchain.keywords import check_keywords
from crossrank.integrations.langchain.own_errors import OwnErrors
from crossrank.integrations.langchain.shared import SharedModel, shared_model
from crossrank.models.locate import DEFAULT_BI_ENCODER


class HuggingFaceEmbeddings(OwnErrors, Embeddings):
    """An embedding model, with the arguments of LangChain's class of the same name.

    Each model is loaded once and shared by all objects and threads. Its prompts are put before queries and
    documents.

    Args:
        model_name: A bundled model, a folder, or a Hugging Face name; also accepted as ``model``.
        cache_folder: Must be None; set HF_HOME to choose the folder for downloads.
        model_kwargs: ``threads`` and ``precision``, as in :class:`crossrank.BiEncoder`. Other options of
            sentence-transformers are accepted if they ask for the default behaviour, such as
            ``device="cpu"``.
        encode_kwargs: ``normalize_embeddings``, ``show_progress_bar``; ``batch_size`` has no effect.
        query_encode_kwargs: Used for queries instead of ``encode_kwargs``.
        multi_process: Has no effect: all processors are used.
        show_progress: Show a progress bar on standard error while documents are embedded.

    Raises:
        ModelError: The model cannot be loaded, or is not an embedding model.
        InputError: A keyword is unknown, or its value is not supported.

    Example:
        >>> embeddings = HuggingFaceEmbeddings(model_name="all-MiniLM-L6-v2")
        >>> len(embeddings.embed_query("How do bees find flowers?")), embeddings.similarity
        (384, 'cosine')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), populate_by_name=True)

    model_name: str | Path = Field(
        default=DEFAULT_BI_ENCODER, validation_alias=AliasChoices("model_name", "model")
    )
    cache_folder: str | None = None
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    encode_kwargs: dict[str, Any] = Field(default_factory=dict)
    query_encode_kwargs: dict[str, Any] = Field(default_factory=dict)
    multi_process: bool = False
    show_progress: bool = False
    _shared: SharedModel[BiEncoder] = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Check the keywords and load the model."""
        check_keywords("HuggingFaceEmbeddings", {"cache_folder": self.cache_folder})
        check_keywords("model_kwargs", self.model_kwargs, "threads", "precision")
        for where in ("encode_kwargs", "query_encode_kwargs"):
            check_keywords(where, getattr(self, where), "normalize_embeddings", "show_progress_bar")
        options = {"threads": None, "precision": "auto"} | {
            name: value for name, value in self.model_kwargs.items() if name in {"threads", "precision"}
        }
        self._shared = shared_model(BiEncoder, self.model_name, options)

    @property
    def client(self) -> BiEncoder:
        """The loaded model."""
        return self._shared.model

    @property
    def similarity(self) -> Similarity:
        """How to compare two vectors: ``cosine``, ``dot`` or ``euclidean``."""
        return self.client.similarity

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, with the model's document prompt; an empty list gives an empty list."""
        with _bar(len(texts), show=self.show_progress or self._option("show_progress_bar")) as progress:
            vectors = self.client.encode_documents(list(texts), progress=progress)
        return _rows(vectors, self.encode_kwargs)

    def embed_query(self, text: str) -> list[float]:
        """Embed a question, with the model's query prompt."""
        keywords = self.query_encode_kwargs or self.encode_kwargs
        return _rows(self.client.encode_queries([text]), keywords)[0]

    def _option(self, name: str) -> bool:
        return bool(self.encode_kwargs.get(name))


def _rows(vectors: NDArray[np.float32], keywords: Mapping[str, Any]) -> list[list[float]]:
    if keywords.get("normalize_embeddings"):
        vectors = prepared(vectors, "cosine")
    rows: list[list[float]] = vectors.tolist()
    return rows


@contextmanager
def _bar(total: int, *, show: bool) -> Iterator[Progress | None]:
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task("Embedding", total=total)
        yield lambda done: bar.advance(task, done)
