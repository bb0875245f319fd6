"""Identify the model of a vector or a score by its content, independent of its name and location."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossrank.families.model import Model
from crossrank.inference.embedder_settings import EmbedderSettings
from crossrank.models.modules import TOKENS, VECTOR, Chain, Dense, Normalize, Pooling
from crossrank.models.weights import Weights

# Keys of config.json that describe how the model was saved, not what it computes.
_NOT_THE_MODEL = frozenset({"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"})
# Files that no score depends on. crossrank.json has what is done with logits, and none of what gives them.
_NO_SCORES = frozenset({".md", ".png", ".svg", ".jsonl"})
# Of larger tensors, only this many pieces of this many bytes are read, so that large models take no longer.
_PIECES, _PIECE = 16, 256


def embedder_fingerprint(model: Model, settings: EmbedderSettings) -> str:
    """A digest of what determines an embedder's vectors: weights, configuration, pooling and tokenizer.

    Copies of a model have the same fingerprint, under any name. A copy with int8 weights gives slightly
    different vectors, and has a different fingerprint. The digest covers the name, type and shape of each
    tensor and 4 KB spread over its data. That takes milliseconds and tells models apart, since training
    changes whole tensors; it does not protect against deliberate manipulation.

    Args:
        model: The embedder's folder.
        settings: Its pooling and similarity.

    Returns:
        32 hexadecimal digits.

    Raises:
        ModelError: The tokenizer or the weights cannot be read.
    """
    lowers = bool(model.json("sentence_bert_config.json").get("do_lower_case"))
    known = {"pooling": _described(settings), "max_tokens": model.max_tokens, "lowers": lowers}
    return _fingerprint(model, known, settings.chain)


def cross_encoder_fingerprint(model: Model, chain: Chain, *, max_tokens: int, prompt: str | None) -> str:
    """A digest of what determines a cross-encoder's logits, like :func:`embedder_fingerprint`.

    Args:
        model: The cross-encoder's folder.
        chain: How hidden states become logits.
        max_tokens: How many tokens of a pair are read.
        prompt: What is put before the query; None for nothing.

    Returns:
        32 hexadecimal digits.

    Raises:
        ModelError: The tokenizer or the weights cannot be read.
    """
    modules = [{"kind": type(module).__name__, **dataclasses.asdict(module)} for module in chain.modules]
    known = {"task": chain.task, "modules": modules, "max_tokens": max_tokens, "prompt": prompt}
    return _fingerprint(model, known, chain)


def files_digest(model: Model) -> str:
    """A digest of all that a model's folder has: every byte of every file that a score can depend on.

    It reads all weights, at about a second for each gigabyte, and so also finds a change of a few of them.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(path for path in model.path.rglob("*") if path.is_file()):
        if file.suffix.lower() in _NO_SCORES or file.name == "crossrank.json":
            continue
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "blake2b").digest()
        digest.update(file.relative_to(model.path).as_posix().encode() + b"\0" + content)
    return digest.hexdigest()


def _fingerprint(model: Model, known: Mapping[str, object], chain: Chain) -> str:
    digest = hashlib.blake2b(digest_size=16)
    config = {name: value for name, value in model.config.items() if name not in _NOT_THE_MODEL}
    digest.update(json.dumps({"config": config, **known}, sort_keys=True).encode())
    digest.update(model.tokenizer_file.read_bytes())
    add_weights(digest, model, *chain.weights(model).values())
    return digest.hexdigest()


# What a chain of modules could have when fingerprints began: these poolings and activations.
_FIRST_POOLINGS = frozenset({"cls", "max", "mean", "mean_sqrt_len_tokens"})
_FIRST_ACTIVATIONS = {"Identity": None, "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu"}


def _described(settings: EmbedderSettings) -> dict[str, object]:
    """An embedder's settings, so that a model keeps its fingerprint when more can be said of others."""
    known: dict[str, object] = {"prompts": settings.prompts}
    if settings.similarity != "cosine":
        known["similarity"] = settings.similarity
    if settings.truncate_dim is not None:
        known["truncate_dim"] = settings.truncate_dim
    chain = settings.chain
    if chain.task != "feature-extraction":
        known["task"] = chain.task
    pooling, rest = next(iter(chain.modules), None), chain.modules[1:]
    dense = [module for module in rest if isinstance(module, Dense)]
    normalizes = len(dense) < len(rest)
    if (
        chain.feature == TOKENS
        and isinstance(pooling, Pooling)
        and len(pooling.modes) == 1
        and pooling.modes[0] in _FIRST_POOLINGS
        and all(module.source == module.target == VECTOR for module in rest)
        and all(module.activation in _FIRST_ACTIVATIONS and not module.residual for module in dense)
        and [type(module) for module in rest] == [Dense] * len(dense) + [Normalize] * normalizes
    ):
        known["pooling"] = pooling.modes[0]
        if dense:
            known["dense"] = [(module.name, _FIRST_ACTIVATIONS[module.activation]) for module in dense]
        if normalizes:
            known["normalize"] = True
    else:
        known["modules"] = [
            {"kind": type(module).__name__, **dataclasses.asdict(module)} for module in chain.modules
        ]
    return known


def add_weights(digest: hashlib.blake2b, model: Model, *further: Weights) -> None:
    """Add the name, type and shape of each tensor and 4 KB spread over its data to a digest.

    Args:
        digest: Is changed.
        model: The model; of an exported one, 4 KB of its file and of those next to it.
        further: Weights of further modules, unless the model is exported.
    """
    if model.has_graph or model.export is None or model.is_static:
        for weights in (model.weights, *further):
            for description, data in weights.samples(_PIECES, _PIECE):
                digest.update(description.encode())
                digest.update(data)
    elif model.export is not None:
        for file in _of_export(model.export):
            digest.update(_pieces(np.memmap(file, np.uint8, mode="r")))


def _pieces(data: NDArray[np.uint8]) -> bytes:
    if data.size <= _PIECES * _PIECE:
        return data.tobytes()
    starts = np.linspace(0, data.size - _PIECE, _PIECES).astype(np.int64)
    return b"".join(data[start : start + _PIECE].tobytes() for start in starts)


def _of_export(file: Path) -> list[Path]:
    """An exported graph, and the files next to it with its weights."""
    parts = [part for part in file.parent.iterdir() if part.name.startswith(file.stem)]
    return sorted(part for part in parts if part.is_file() and part.stat().st_size)
