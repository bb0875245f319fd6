"""The engine of static embedders: a vector for each word, and their mean for a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.inference.engines import Progress
from crossrank.inference.tokenizer import Tokens
from crossrank.models.folder import ModelFolder
from crossrank.models.modules import Chain, Dense, Module, Normalize
from crossrank.models.weights import Weights

# Texts are added up in parts of this number of words, for bounded memory.
_WORDS_AT_ONCE = 32_768
_ACTIVATIONS: Mapping[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "Identity": lambda x: x,
    "ReLU": lambda x: np.maximum(x, 0),
    "Tanh": np.tanh,
}


class StaticEngine:
    """Looks up the vectors of words and takes their mean, as StaticEmbedding of sentence-transformers.

    Thread-safe, also in forked processes: it computes with NumPy in the calling thread.

    Args:
        model: The folder; its weights have ``embedding.weight``, or model2vec's ``embeddings`` with
            ``mapping`` and ``weights`` where it has them.
        chain: The modules after it.

    Raises:
        ModelError: The weights are of another kind, or a module's activation is not known here.
    """

    on_gpu = False

    def __init__(self, model: ModelFolder, chain: Chain) -> None:
        weights = model.weights
        names = weights.names()
        table = next((name for name in ("embedding.weight", "embeddings") if name in names), None)
        if table is None:
            raise ModelError(
                f"{model.name} has no tensor 'embedding.weight' or 'embeddings', so no word vectors"
            )
        self._name, self._table = model.name, weights.stored(table)
        self._rows = weights.stored("mapping") if "mapping" in names else None
        self._factors = weights.stored("weights").astype(np.float32) if "weights" in names else None
        modules = chain.weights(model)
        self._modules = [_module(model, module, modules.get(module.name)) for module in chain.modules]

    def __deepcopy__(self, memo: object) -> StaticEngine:
        return self

    @property
    def words(self) -> int:
        """The number of tokens that have a vector."""
        return len(self._table if self._rows is None else self._rows)

    def run(self, inputs: Sequence[Tokens], progress: Progress | None = None) -> NDArray[np.float32]:
        """Run inputs; see :class:`crossrank.inference.engines.Engine`."""
        means = np.zeros((len(inputs), self._table.shape[1]), np.float32)  # of no words: 0
        lengths = np.array([len(tokens.ids) for tokens in inputs], np.intp)
        part = np.cumsum(lengths) // _WORDS_AT_ONCE
        for number in np.unique(part):
            positions = np.flatnonzero(part == number)
            some = positions[lengths[positions] > 0]
            if len(some):
                vectors = self._vectors(np.concatenate([inputs[position].ids for position in some]))
                starts = np.concatenate([[0], np.cumsum(lengths[some])[:-1]])
                means[some] = np.add.reduceat(vectors, starts, axis=0) / lengths[some, np.newaxis]
            if progress:
                progress(len(positions))
        for module in self._modules:
            means = module(means)
        return means

    def _vectors(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        vectors = self._table[ids if self._rows is None else self._rows[ids]].astype(np.float32, copy=False)
        return vectors if self._factors is None else vectors * self._factors[ids, np.newaxis]


def _module(
    model: ModelFolder, module: Module, weights: Weights | None
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    if isinstance(module, Normalize):
        return _to_unit_length
    if (
        not isinstance(module, Dense)
        or weights is None
        or module.residual
        or module.activation not in _ACTIVATIONS
    ):
        raise ModelError(
            f"{model.name}: after a StaticEmbedding, {module.name} is not supported; Normalize is, and Dense "
            f"with {', '.join(_ACTIVATIONS)} and without a residual"
        )
    activation, matrix = _ACTIVATIONS[module.activation], weights.float32("linear.weight").T
    bias = weights.float32("linear.bias") if "linear.bias" in weights else np.float32(0)
    return lambda x: activation(x @ matrix + bias)


def _to_unit_length(x: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(lengths, 1e-12), np.float32)
