"""The ranges of a model's activations, so that int8 need not look for them while it runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.families.int8 import is_int8_matrix
from crossrank.families.model import Model
from crossrank.inference.batching import make_batches
from crossrank.inference.sample_texts import sample_candidates
from crossrank.inference.tokenizer import Tokenizer

# How far the weights take over what is uneven between an input's channels: 0 not at all, 1 wholly. Logits are
# the nearest to float32 from 0.7 to 0.8 (docs/engine-notes.md).
_MIGRATION = 0.75
# Texts can have larger activations than the sample texts.
_MARGIN = 1.2
# Rounding noise at least this far below the signal: 30 dB. What stays behind is the input that follows GELU
# in most layers, with a few large values among very many small ones.
_LEAST_SIGNAL_TO_NOISE = 1e3
_LEVELS = 255


@dataclass(frozen=True, slots=True)
class InputRange:
    """How the input of one matrix, or of several that share it, is quantised.

    Attributes:
        smoothing: What each channel is divided by, float32 [columns].
        low: The lowest value after that.
        high: The highest.
    """

    smoothing: NDArray[np.float32]
    low: float
    high: float


@dataclass(slots=True)
class _Seen:
    """What was seen of one input, for each channel."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    squares: NDArray[np.float64]
    tokens: int = 0

    def add(self, values: NDArray[np.float32]) -> None:
        np.minimum(self.low, values.min(axis=0), out=self.low)
        np.maximum(self.high, values.max(axis=0), out=self.high)
        self.squares += np.square(values, dtype=np.float64).sum(axis=0)
        self.tokens += len(values)


def input_ranges(model: Model) -> dict[str, InputRange]:
    """Run the sample texts in float32 and find which inputs can be quantised with a fixed range.

    Channels with large values are scaled down and the columns of their weights up, as in SmoothQuant (Xiao et
    al. 2022); matrices with a common input share the factors.

    Args:
        model: A model with a graph.

    Returns:
        Ranges by the names of the weight tensors. Inputs that would lose too much are left out.

    Raises:
        ModelError: The model cannot be built.
    """
    groups, seen = _run(model)
    found: dict[str, InputRange] = {}
    for names, values in zip(groups, seen, strict=True):
        weights = np.max([np.abs(model.weights.float32(name)).max(axis=0) for name in names], axis=0)
        largest = np.maximum(np.maximum(-values.low, values.high), 1e-5)
        smoothing = largest**_MIGRATION / np.maximum(weights, 1e-5) ** (1 - _MIGRATION)
        smoothing = (smoothing / np.exp(np.log(smoothing).mean())).astype(np.float32)
        low = _MARGIN * min(0.0, float((values.low / smoothing).min()))
        high = _MARGIN * max(0.0, float((values.high / smoothing).max()))
        noise = ((high - low) / _LEVELS) ** 2 / 12
        signal = float((values.squares / values.tokens / smoothing**2).mean())
        if signal >= _LEAST_SIGNAL_TO_NOISE * noise > 0:
            found |= dict.fromkeys(names, InputRange(smoothing, low, high))
    return found


def _run(model: Model) -> tuple[list[list[str]], list[_Seen]]:
    """The names of the matrices that share an input, and what was seen of it, for each input."""
    from crossrank.families.graphs.openvino_library import ov

    graph = model.graph()
    graph.hidden_states()
    nodes: dict[int, tuple[list[str], object]] = {}
    for name, node in graph.ops.inputs.items():
        if is_int8_matrix(name, model.weights.stored(name), model.family.kept_in_float):
            nodes.setdefault(id(node), ([], node))[0].append(name)
    groups = [names for names, _ in nodes.values()]
    observed = ov.Model([node for _, node in nodes.values()], list(graph.inputs.values()))
    compiled = ov.Core().compile_model(observed, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    takes = {name for node in compiled.inputs for name in node.get_names()}
    tokenizer = Tokenizer(model)
    pairs = [(query, text) for query, texts in sample_candidates() for text in texts]
    seen: list[_Seen] = []
    for _, batch in make_batches(
        tokenizer.pairs(pairs), pad_id=tokenizer.pad_id, limit=tokenizer.limit, shares=1
    ):
        request.infer({name: values for name, values in batch.items() if name in takes})
        is_text = batch["attention_mask"] == 1
        for number in range(len(groups)):
            values = np.asarray(request.get_output_tensor(number).data)[is_text]
            if len(seen) == number:
                width = values.shape[1]
                seen.append(_Seen(np.zeros(width, np.float32), np.zeros(width, np.float32), np.zeros(width)))
            seen[number].add(values)
    return groups, seen
