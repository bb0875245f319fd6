"""What a model is, and whether it scores as its publishers say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from crossrank.families.model import Model, open_model
from crossrank.inference.activations import activation_name
from crossrank.inference.arithmetic import FLOAT32, Precision
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.chains import is_bi_encoder
from crossrank.inference.choosing import Choice
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.devices import on_gpu
from crossrank.inference.scorer import for_ranking

_GOLDEN = Path(__file__).with_name("golden.json")


def check_model(
    name: str | Path, *, device: str | None = None, precision: Precision = "auto"
) -> dict[str, Any]:
    """Load a model and compare it with published scores, known by the last part of its name.

    Args:
        name: A bundled model, a folder, or a Hub name.
        device: Where a cross-encoder runs, as for :class:`crossrank.CrossEncoder`.
        precision: The arithmetic. Published scores are compared in float32 unless another one is asked for.

    Returns:
        ``model``, ``kind`` (cross-encoder or bi-encoder), ``architecture``, ``weights``, ``max_tokens``,
        ``precision`` (the arithmetic, and why it was chosen), ``speeds`` (of each arithmetic that was timed,
        as a multiple of float32), what is particular to the kind, ``notices``; ``golden`` (source, pairs,
        largest difference in logits, or in scores where these are published) and ``agrees``, both None where
        nothing is published.

    Raises:
        ModelError: The model cannot be used; the message says why.
    """
    folder = open_model(name, safetensors=on_gpu(device))
    report: dict[str, Any] = {
        "model": folder.name,
        "kind": "cross-encoder",
        "architecture": folder.architecture,
        "weights": _weights(folder),
        "max_tokens": folder.max_tokens,
    }
    if is_bi_encoder(folder):
        embedder = BiEncoder(name, precision=precision)
        dimensions = embedder.encode_queries(["a question"]).shape[1]
        report |= _precision(embedder.precision)
        report |= {"kind": "bi-encoder", "similarity": embedder.similarity, "dimensions": dimensions}
        return report | {"notices": list(embedder.notices), "golden": None, "agrees": None}
    model = for_ranking(CrossEncoder(name, device=device, precision=precision))
    report |= _precision(model.precision) | {
        "labels": model.scoring.labels,
        "activation": activation_name(model.scoring.activation),
        "notices": list(model.notices),
    }
    golden = json.loads(_GOLDEN.read_text(encoding="utf-8")).get(Path(str(name)).name.lower())
    if golden is None:
        return report | {"golden": None, "agrees": None}
    if precision == "auto" and model.precision.arithmetic != FLOAT32:
        model = CrossEncoder(name, device=device, precision="float32")
    return report | _compare(model, golden)


def _precision(choice: Choice) -> dict[str, Any]:
    return {"precision": str(choice), "speeds": dict(choice.speeds)}


def _weights(folder: Model) -> str:
    if folder.has_graph or (folder.export is None and folder.has_safetensors):
        return "safetensors, int8" if folder.weights.is_int8 else "safetensors, float"
    return folder.export.name if folder.export is not None else "none"


def _compare(model: CrossEncoder, golden: dict[str, Any]) -> dict[str, Any]:
    """Compare raw logits, or the scores that the model's own activation makes of them."""
    pairs = [(query, passage) for query, passage in golden["pairs"]]
    compared = "scores" if "scores" in golden else "logits"
    outputs, scoring = model.outputs(pairs, prompt=model.prompt_named(None)), for_ranking(model).scoring
    found = {
        "logits": scoring.logits(outputs),
        "scores": np.asarray(scoring.predictions(outputs), np.float32),
    }
    difference = float(np.abs(found[compared] - np.array(golden[compared], np.float32)).max())
    scored = [
        {"query": query, "passage": passage, "logit": float(logit), "score": float(score), "published": each}
        for (query, passage), logit, score, each in zip(
            pairs, found["logits"], found["scores"], golden[compared], strict=True
        )
    ]
    return {
        "golden": {
            "source": golden["source"],
            "compared": compared,
            "pairs": scored,
            "largest_difference": difference,
            "tolerance": golden["tolerance"],
        },
        "agrees": difference <= golden["tolerance"],
    }
