"""The modules of a sentence-transformers embedder after the transformer, read from its files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from crossrank.errors import ModelError
from crossrank.families.graphs.openvino_library import op
from crossrank.families.graphs.operations import Operations, Tensor, activation, constant
from crossrank.inference import Similarity
from crossrank.models.damage import refuses_damage
from crossrank.models.folder import ModelFolder
from crossrank.models.weights import Weights

_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ACTIVATIONS = {"Identity": None, "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu"}


@dataclass(frozen=True)
class EmbedderSettings:
    """How an embedder pools token vectors, and how its vectors are compared.

    Attributes:
        pooling: ``mean``, ``cls``, ``max`` or ``mean_sqrt_len_tokens``.
        dense: Folders of dense layers after pooling.
        normalize: Whether vectors are normalised to unit length.
        similarity: The similarity that the model was trained for.
        prompts: Texts to put before a text, by kind: ``query``, ``document``.
    """

    pooling: str
    dense: tuple[tuple[str, str | None], ...] = ()
    normalize: bool = False
    similarity: Similarity = "cosine"
    prompts: dict[str, str] = field(default_factory=dict)


@refuses_damage
def read_settings(model: ModelFolder) -> EmbedderSettings:
    """Read modules.json and the modules that it lists.

    Raises:
        ModelError: The model is not an embedder, or has a module that is not supported.
    """
    modules = _modules(model)
    pooling, dense, normalize = None, [], False
    for module in modules:
        kind, path = str(module.get("type", "")).rsplit(".", 1)[-1], str(module.get("path", ""))
        settings = model.json(f"{path}/config.json") if path else {}
        if kind == "Pooling":
            pooling = _pooling(model, settings)
        elif kind == "Dense":
            if pooling is None or normalize or settings.get("use_residual"):
                raise ModelError(f"{model.name} has a dense layer with a residual, or out of its usual place")
            # sentence-transformers' default activation is tanh.
            function = str(settings.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
            if function not in _ACTIVATIONS:
                raise ModelError(f"{model.name}: a dense layer uses {function}, which is not supported")
            dense.append((path, _ACTIVATIONS[function]))
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise ModelError(f"{model.name} has a module {module.get('type')!r}, which is not supported")
    if pooling is None:
        raise ModelError(f"{model.name} has no pooling module in modules.json, so it gives no text vectors")
    extra = model.json("config_sentence_transformers.json")
    return EmbedderSettings(
        pooling, tuple(dense), normalize, _similarity(model, extra, normalize), _prompts(extra)
    )


def _modules(model: ModelFolder) -> list[dict[str, Any]]:
    if not (model.path / "modules.json").is_file():
        architectures = ", ".join(model.config.get("architectures") or ["unknown"])
        hint = "it is a reranker" if "SequenceClassification" in architectures else "nothing says how to pool"
        raise ModelError(
            f"{model.name} ({architectures}) has no modules.json, so it is no "
            f"sentence-transformers embedder: {hint}"
        )
    return model.modules


def _pooling(model: ModelFolder, settings: dict[str, Any]) -> str:
    modes = [mode for key, mode in _MODES.items() if settings.get(key)]
    if not modes and (mode := settings.get("pooling_mode")):
        modes = [mode] if isinstance(mode, str) else list(mode)
    if len(modes) != 1 or modes[0] not in {"cls", "mean", "max", "mean_sqrt_len_tokens"}:
        raise ModelError(f"{model.name} pools by {' and '.join(map(str, modes)) or 'nothing'}, not supported")
    if settings.get("include_prompt") is False:
        raise ModelError(f"{model.name} leaves its prompt out of the pooling, which is not supported")
    return str(modes[0])


def _similarity(model: ModelFolder, extra: dict[str, Any], normalize: bool) -> Similarity:
    named = extra.get("similarity_fn_name")
    if named in {"cosine", "dot", "euclidean"}:
        return cast("Similarity", named)
    if named is not None:
        raise ModelError(f"{model.name} compares by {named!r}, which is not supported")
    # Models saved before sentence-transformers 3 do not store the similarity. Those trained for the dot
    # product have it in their name (msmarco-distilbert-dot-v5, multi-qa-mpnet-base-dot-v1) and do not
    # normalise.
    return "dot" if not normalize and "-dot-" in f"{model.name}-{model.path.name}-" else "cosine"


def _prompts(extra: dict[str, Any]) -> dict[str, str]:
    prompts = {key: text for key, text in (extra.get("prompts") or {}).items() if isinstance(text, str)}
    default = prompts.get(extra.get("default_prompt_name") or "", "")
    query = prompts.get("query", default)
    document = next((prompts[key] for key in ("document", "passage", "corpus") if key in prompts), default)
    return {"query": query, "document": document}


def pool(hidden: Tensor, mask: Tensor, mode: str) -> Tensor:
    """Pool token vectors [batch, length, d] with a mask [batch, length] to text vectors [batch, d]."""
    if mode == "cls":
        return op.squeeze(
            op.slice(hidden, constant([0]), constant([1]), constant([1]), constant([1])), constant(1)
        )
    weights = op.unsqueeze(op.convert(mask, "f32"), constant(2))
    if mode == "max":
        hidden_or_low = op.subtract(
            op.multiply(hidden, weights),
            op.multiply(op.subtract(constant(1, np.float32), weights), constant(1e9, np.float32)),
        )
        return op.reduce_max(hidden_or_low, constant([1]))
    total = op.reduce_sum(op.multiply(hidden, weights), constant([1]))
    count = op.maximum(op.reduce_sum(weights, constant([1])), constant(1e-9, np.float32))
    return op.divide(total, count if mode == "mean" else op.sqrt(count))


def after_pooling(model: ModelFolder, vectors: Tensor, settings: EmbedderSettings) -> Tensor:
    """Apply the dense layers and the normalisation."""
    for folder, function in settings.dense:
        ops = Operations(Weights(model.path / folder), "")
        vectors = ops.linear(vectors, "linear")
        if function is not None:
            vectors = activation(function, vectors)
    return op.normalize_l2(vectors, constant([1]), 1e-24, "max") if settings.normalize else vectors
