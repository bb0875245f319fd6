"""The bi-encoder: computes one vector per text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.families.model import Model, open_model
from crossrank.inference.arithmetic import Precision
from crossrank.inference.engines import Progress
from crossrank.inference.fingerprint import embedder_fingerprint
from crossrank.inference.loading import exported, load_engine, unsupported
from crossrank.inference.pooling import EmbedderSettings, after_pooling, pool, read_settings
from crossrank.inference.sample_texts import Candidates
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.inference.vectors import prepared
from crossrank.models.locate import DEFAULT_BI_ENCODER

if TYPE_CHECKING:
    from crossrank.families.graphs.openvino_library import ov
    from crossrank.families.graphs.operations import Products

# Number of texts tokenised and sorted at a time: enough for full batches, with bounded memory.
_CHUNK = 4096


class BiEncoder:
    """An embedding model, loaded from its sentence-transformers files.

    Thread-safe; can also be used in forked processes. Pickling stores the name and the options, and
    unpickling loads the model again. Copying returns the object itself, since it is immutable.

    Args:
        model_name_or_path: A bundled model, a folder, or a Hugging Face name.
        threads: Number of threads; by default one per processor available to this process.
        precision: ``auto`` (the fastest that ranks like float32 on this processor), ``float32``,
            ``bfloat16`` or ``int8``.

    Attributes:
        name: The name or path that was given.
        similarity: How to compare two vectors: ``cosine``, ``dot`` or ``euclidean``.
        fingerprint: Identifies the model by its content, independent of its name
            (:func:`~crossrank.inference.fingerprint.embedder_fingerprint`).
        precision: The arithmetic that the model runs in, and why.
        notices: Warnings about the loaded model, one sentence each.

    Raises:
        ModelError: The model does not exist, cannot be loaded, or is not an embedding model.

    Example:
        >>> BiEncoder().encode_queries(["How do bees find flowers?"]).shape
        (1, 384)
    """

    def __init__(
        self,
        model_name_or_path: str | Path = DEFAULT_BI_ENCODER,
        *,
        threads: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        self._made_of: tuple[str | Path, dict[str, Any]] = (
            model_name_or_path,
            {"threads": threads, "precision": precision},
        )
        model = open_model(model_name_or_path)
        settings = read_settings(model)
        self.name = model.name
        self.similarity = settings.similarity
        self.fingerprint = embedder_fingerprint(model, settings)
        self._prompts = settings.prompts
        self._tokenizer = Tokenizer(model)
        loaded = load_engine(
            model, Embedding(settings), self._tokenizer, precision=precision, threads=threads
        )
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
        return vectors


def _prompted(texts: Sequence[str], prompt: str) -> list[str]:
    if isinstance(texts, str):
        raise InputError("texts must be a list; a single string was given. Write [text] for one text.")
    if strange := [text for text in texts if not isinstance(text, str)]:
        raise InputError(f"texts must be strings; found {type(strange[0]).__name__}: {strange[0]!r:.60}")
    return [prompt + text for text in texts]


class Embedding:
    """Embed texts; see :class:`crossrank.inference.task.Task`.

    Args:
        settings: Pooling and similarity.
    """

    def __init__(self, settings: EmbedderSettings) -> None:
        self._settings = settings

    def build(self, model: Model, *, products: Products = "float") -> ov.Model:
        """The graph of an embedder, [batch, d]."""
        from crossrank.families.graphs.openvino_library import ov

        if model.has_graph:
            encoder = model.graph(products=products)
            hidden = encoder.hidden_states(only_first=self._settings.pooling == "cls")
            mask, parameters = encoder.inputs["attention_mask"], list(encoder.inputs.values())
        elif model.export is not None:
            graph = exported(model, "last_hidden_state", "token_embeddings")
            hidden, parameters = graph.output(0).get_node().input_value(0), graph.get_parameters()
            mask = next(node for node in parameters if "attention_mask" in node.output(0).get_names())
        else:
            raise ModelError(unsupported(model))
        vectors = after_pooling(model, pool(hidden, mask, self._settings.pooling), self._settings)
        return ov.Model([vectors], parameters)

    def inputs(self, tokenizer: Tokenizer, candidates: Sequence[Candidates]) -> list[Tokens]:
        """A question and a passage in turn, for each passage."""
        return tokenizer.texts(
            [each for query, texts in candidates for text in texts for each in (query, text)]
        )

    def ranked_by(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The cosine similarity of each passage to its question."""
        vectors = prepared(outputs, "cosine")
        similarities: NDArray[np.float32] = (vectors[::2] * vectors[1::2]).sum(axis=1)
        return similarities
