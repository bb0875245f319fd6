"""The bi-encoder: computes one vector per text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.families.model import open_model
from crossrank.inference.arithmetic import Precision
from crossrank.inference.devices import check_device, on_gpu, runs_on_openvino
from crossrank.inference.embedder_settings import read_settings
from crossrank.inference.engines import Progress
from crossrank.inference.fingerprint import embedder_fingerprint
from crossrank.inference.loading import load_engine, load_torch_engine
from crossrank.inference.task import Embedding
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.locate import DEFAULT_BI_ENCODER

# Number of texts tokenised and sorted at a time: enough for full batches, with bounded memory.
_CHUNK = 4096


class BiEncoder:
    """An embedding model, loaded from its sentence-transformers files.

    Thread-safe; can also be used in forked processes. Pickling stores the name and the options, and
    unpickling loads the model again. Copying returns the object itself, since it is immutable.

    Args:
        model_name_or_path: A bundled model, a folder, or a Hugging Face name.
        device: ``cpu`` (the default), ``cuda``, ``cuda:1`` or ``mps``. GPUs need the extra
            ``crossrank[torch]``, and so do architectures without an OpenVINO graph.
        truncate_dim: Keep only the first numbers of a vector, this many, for models that were trained for it
            (Matryoshka); by default as saved with the model, else all.
        prompts: Texts to put before questions (``query``) and passages (``document``), instead of those that
            were saved with the model.
        threads: Number of threads; by default one per processor available to this process.
        precision: ``auto`` (the fastest that ranks like float32 on this processor), ``float32``,
            ``bfloat16`` or ``int8``. On a GPU, ``auto`` is bfloat16 if it has that, and there is no int8.

    Attributes:
        name: The name or path that was given.
        similarity: How to compare two vectors: ``cosine``, ``dot`` or ``euclidean``.
        options: ``truncate_dim`` and ``prompts`` as far as they were given.
        fingerprint: Identifies the model by its content, independent of its name
            (:func:`~crossrank.inference.fingerprint.embedder_fingerprint`).
        precision: The arithmetic that the model runs in, and why.
        notices: Warnings about the loaded model, one sentence each.

    Raises:
        ModelError: The model does not exist, cannot be loaded, or is not an embedding model.
        InputError: The device does not exist, or there is no such precision, prompt or length.
        MissingExtraError: The device or the model needs PyTorch, which is not installed.

    Example:
        >>> BiEncoder().encode_queries(["How do bees find flowers?"]).shape
        (1, 384)
    """

    def __init__(
        self,
        model_name_or_path: str | Path = DEFAULT_BI_ENCODER,
        *,
        device: str | None = None,
        truncate_dim: int | None = None,
        prompts: Mapping[str, str] | None = None,
        threads: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        options: dict[str, Any] = {"threads": threads, "precision": precision}
        self.options = {
            name: value
            for name, value in (("truncate_dim", truncate_dim), ("prompts", dict(prompts or {})))
            if value
        }
        self._made_of = model_name_or_path, {"device": device, **self.options, **options}
        check_device(device)
        model = open_model(model_name_or_path, safetensors=on_gpu(device))
        settings = read_settings(model).changed(prompts, truncate_dim)
        self.name = model.name
        self.similarity = settings.similarity
        self.fingerprint = embedder_fingerprint(model, settings)
        self._prompts, self._length = settings.prompts, settings.truncate_dim
        self._tokenizer = Tokenizer(model)
        task = Embedding(settings.chain)
        if runs_on_openvino(model, device, settings.chain):
            loaded = load_engine(model, task, self._tokenizer, **options)
        else:
            loaded = load_torch_engine(model, task, self._tokenizer, device=device, **options)
        self._engine, self.precision, self.notices = loaded.engine, loaded.precision, loaded.notices

    def __reduce__(self) -> tuple[Any, ...]:
        name, options = self._made_of
        return partial(type(self), name, **options), ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def encode_queries(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Embed questions, with the model's query prompt if it has one; returns float32 [n, d]."""
        return self._encode(_prompted(queries, self._prompts["query"]))

    def encode_documents(
        self, documents: Sequence[str], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Embed passages, with the model's document prompt if it has one; returns float32 [n, d].

        Args:
            documents: Passages; tokens beyond the model's maximum length are cut off.
            progress: Called with the number of passages done since the last call.
        """
        return self._encode(_prompted(documents, self._prompts["document"]), progress)

    def _encode(self, texts: list[str], progress: Progress | None = None) -> NDArray[np.float32]:
        if not texts:
            return self._encode([""])[:0]  # no rows, but the correct number of columns
        vectors = np.concatenate(
            [
                self._engine.run(self._tokenizer.texts(texts[start : start + _CHUNK]), progress)
                for start in range(0, len(texts), _CHUNK)
            ]
        )
        if not np.isfinite(vectors).all():
            raise ModelError(f"{self.name} gave a vector that holds values which are not numbers")
        return vectors if self._length is None else np.ascontiguousarray(vectors[:, : self._length])


def _prompted(texts: Sequence[str], prompt: str) -> list[str]:
    if isinstance(texts, str):
        raise InputError("texts must be a list; a single string was given. Write [text] for one text.")
    if strange := [text for text in texts if not isinstance(text, str)]:
        raise InputError(f"texts must be strings; found {type(strange[0]).__name__}: {strange[0]!r:.60}")
    return [prompt + text for text in texts]
