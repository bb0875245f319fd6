"""Models of published shapes with random weights, which take as long as real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

# A tensor's shape by its name.
Shapes = dict[str, tuple[int, ...]]


def modernbert(width: int, layers: int, inner: int, pooling: str) -> tuple[dict[str, Any], Shapes]:
    """ModernBERT, as the Ettin family and gte-reranker-modernbert-base are: config.json and tensors."""
    words = 50_368
    config = {
        "model_type": "modernbert",
        "architectures": ["ModernBertForSequenceClassification"],
        "vocab_size": words,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "intermediate_size": inner,
        "max_position_embeddings": 8192,
        "global_attn_every_n_layers": 3,
        "local_attention": 128,
        "global_rope_theta": 160_000.0,
        "local_rope_theta": 10_000.0,
        "classifier_pooling": pooling,
        **_SPECIAL,
    }
    shapes: Shapes = {"model.embeddings.tok_embeddings.weight": (words, width)}
    norms = ["model.embeddings.norm", "model.final_norm", "head.norm"]
    for number in range(layers):
        layer = f"model.layers.{number}"
        shapes |= {
            f"{layer}.attn.Wqkv.weight": (3 * width, width),
            f"{layer}.attn.Wo.weight": (width, width),
            f"{layer}.mlp.Wi.weight": (2 * inner, width),
            f"{layer}.mlp.Wo.weight": (width, inner),
        }
        norms += [f"{layer}.mlp_norm", *([f"{layer}.attn_norm"] if number else [])]
    shapes |= {f"{name}.weight": (width,) for name in norms}
    shapes |= {"head.dense.weight": (width, width), "classifier.weight": (1, width), "classifier.bias": (1,)}
    return config, shapes


def deberta(width: int, layers: int, inner: int) -> tuple[dict[str, Any], Shapes]:
    """DeBERTa-v3, as mxbai-rerank-v1 is: config.json and tensors."""
    words, buckets = 128_100, 256
    config = {
        "model_type": "deberta-v2",
        "architectures": ["DebertaV2ForSequenceClassification"],
        "vocab_size": words,
        "hidden_size": width,
        "pooler_hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
        "intermediate_size": inner,
        "max_position_embeddings": 512,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "position_buckets": buckets,
        "relative_attention": True,
        "share_att_key": True,
        "type_vocab_size": 0,
        **_SPECIAL,
    }
    shapes: Shapes = {
        "deberta.embeddings.word_embeddings.weight": (words, width),
        "deberta.encoder.rel_embeddings.weight": (2 * buckets, width),
    }
    linear = {"pooler.dense": (width, width), "classifier": (1, width)}
    norms = ["deberta.embeddings.LayerNorm", "deberta.encoder.LayerNorm"]
    for number in range(layers):
        layer = f"deberta.encoder.layer.{number}"
        for part in ("self.query_proj", "self.key_proj", "self.value_proj", "output.dense"):
            linear[f"{layer}.attention.{part}"] = (width, width)
        linear |= {f"{layer}.intermediate.dense": (inner, width), f"{layer}.output.dense": (width, inner)}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, (rows, columns) in linear.items():
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return config, shapes


_SPECIAL: dict[str, Any] = {
    "bos_token_id": 0,
    "cls_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "sep_token_id": 2,
    "dtype": "float32",
    "id2label": {"0": "LABEL_0"},
    "label2id": {"LABEL_0": 0},
}


def write_shape(folder: Path, config: dict[str, Any], shapes: Shapes) -> None:
    """Write config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    numbers = np.random.default_rng(0)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith(("norm.weight", "Norm.weight")):
            tensors[name] = np.ones(shape, np.float32)
        elif name.endswith("bias"):
            tensors[name] = np.zeros(shape, np.float32)
        else:
            # As wide as keeps a product's numbers their size: with less, all texts get nearly the same score,
            # and no faster arithmetic could be seen to keep their order.
            tensors[name] = numbers.standard_normal(shape, np.float32) * np.float32(shape[1] ** -0.5)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
