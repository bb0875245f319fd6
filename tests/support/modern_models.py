"""Random model folders of the families since ModernBERT, as tests/support/tiny_models.py has older ones."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.tiny_models import EMBEDDING, HEADS, HIDDEN, INNER, save, write_json, write_tokenizer

# Longer than three windows of ModernBERT, and than what has a bucket of its own in DeBERTa.
LONGEST = 96
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Modern:
    """One architecture.

    Attributes:
        config: config.json of a reranker, without the size of the vocabulary.
        prefix: What stands before the names of the encoder's tensors in a reranker.
        embeddings: Shapes of the tensors before the layers; ``words`` stands for the size of the vocabulary.
        layer: Shapes of one layer; ``{}`` stands for its number.
        after: Shapes of the tensors after the layers.
        head: Shapes of the head, with their whole names.
        left_out: Tensors that single layers do not have.
    """

    config: Mapping[str, Any]
    prefix: str
    embeddings: Shapes
    layer: Shapes
    head: Shapes
    after: Shapes = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()


WORDS = -1


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}


_SIZES = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "intermediate_size": INNER, "pad_token_id": 0}

MODERNBERT = Modern(
    config={
        **_SIZES,
        "model_type": "modernbert",
        "architectures": ["ModernBertForSequenceClassification"],
        "num_hidden_layers": 4,
        "global_attn_every_n_layers": 3,
        "local_attention": 16,
        "max_position_embeddings": LONGEST,
        "classifier_pooling": "cls",
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        **dict.fromkeys(["bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id"]),
    },
    prefix="model.",
    embeddings={"embeddings.tok_embeddings.weight": (WORDS, HIDDEN), "embeddings.norm.weight": (HIDDEN,)},
    layer={
        "layers.{}.attn_norm.weight": (HIDDEN,),
        "layers.{}.attn.Wqkv.weight": (3 * HIDDEN, HIDDEN),
        "layers.{}.attn.Wo.weight": (HIDDEN, HIDDEN),
        "layers.{}.mlp_norm.weight": (HIDDEN,),
        "layers.{}.mlp.Wi.weight": (2 * INNER, HIDDEN),
        "layers.{}.mlp.Wo.weight": (HIDDEN, INNER),
    },
    after={"final_norm.weight": (HIDDEN,)},
    head={
        "head.dense.weight": (HIDDEN, HIDDEN),
        "head.norm.weight": (HIDDEN,),
        "classifier.weight": (1, HIDDEN),
        "classifier.bias": (1,),
    },
    left_out=frozenset({"layers.0.attn_norm.weight"}),
)

# As mxbai-rerank-v1 and all of DeBERTa-v3.
DEBERTA = Modern(
    config={
        **_SIZES,
        "model_type": "deberta-v2",
        "architectures": ["DebertaV2ForSequenceClassification"],
        "num_hidden_layers": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-7,
        "max_position_embeddings": LONGEST,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "position_buckets": 16,
        "relative_attention": True,
        "share_att_key": True,
        "type_vocab_size": 0,
    },
    prefix="deberta.",
    embeddings={
        "embeddings.word_embeddings.weight": (WORDS, HIDDEN),
        **_norm("embeddings.LayerNorm"),
        "encoder.rel_embeddings.weight": (32, HIDDEN),
        **_norm("encoder.LayerNorm"),
    },
    layer={
        **_linear("encoder.layer.{}.attention.self.query_proj", HIDDEN, HIDDEN),
        **_linear("encoder.layer.{}.attention.self.key_proj", HIDDEN, HIDDEN),
        **_linear("encoder.layer.{}.attention.self.value_proj", HIDDEN, HIDDEN),
        **_linear("encoder.layer.{}.attention.output.dense", HIDDEN, HIDDEN),
        **_norm("encoder.layer.{}.attention.output.LayerNorm"),
        **_linear("encoder.layer.{}.intermediate.dense", HIDDEN, INNER),
        **_linear("encoder.layer.{}.output.dense", INNER, HIDDEN),
        **_norm("encoder.layer.{}.output.LayerNorm"),
    },
    head={**_linear("pooler.dense", HIDDEN, HIDDEN), **_linear("classifier", HIDDEN, 1)},
)
# What else a configuration can ask for: own projections of positions, no buckets, positions in the input.
OLD_DEBERTA = replace(
    DEBERTA,
    config={
        **DEBERTA.config,
        "embedding_size": EMBEDDING,
        "max_relative_positions": 40,
        "pos_att_type": "c2p|p2c",
        "position_biased_input": True,
        "position_buckets": -1,
        "share_att_key": False,
        "norm_rel_ebd": "none",
        "type_vocab_size": 2,
    },
    embeddings={
        "embeddings.word_embeddings.weight": (WORDS, EMBEDDING),
        "embeddings.position_embeddings.weight": (LONGEST, EMBEDDING),
        "embeddings.token_type_embeddings.weight": (2, EMBEDDING),
        "embeddings.embed_proj.weight": (HIDDEN, EMBEDDING),
        **_norm("embeddings.LayerNorm"),
        "encoder.rel_embeddings.weight": (80, HIDDEN),
    },
    layer={
        **DEBERTA.layer,
        **_linear("encoder.layer.{}.attention.self.pos_key_proj", HIDDEN, HIDDEN),
        **_linear("encoder.layer.{}.attention.self.pos_query_proj", HIDDEN, HIDDEN),
    },
)

MODERN: dict[str, Modern] = {
    "deberta-v2": DEBERTA,
    "deberta-v2-old": OLD_DEBERTA,
    "modernbert": MODERNBERT,
    "modernbert-mean": replace(MODERNBERT, config={**MODERNBERT.config, "classifier_pooling": "mean"}),
}


def write_modern_reranker(folder: Path, name: str, **config: Any) -> Path:
    """Write a classifier with one label; ``config`` is laid over its config.json."""
    parts = MODERN[name]
    words = _write(
        folder, {**parts.config, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, **config}
    )
    body = {f"{parts.prefix}{key}": shape for key, shape in _body(parts, words).items()}
    save(folder, _random(body | dict(parts.head)))
    return folder


def write_modern_embedder(folder: Path, name: str, *, pooling: str = "mean", **config: Any) -> Path:
    """Write a sentence-transformers embedder that pools by ``mean`` or ``cls``, without normalisation."""
    parts = MODERN[name]
    architecture = parts.config["architectures"][0].replace("ForSequenceClassification", "Model")
    words = _write(folder, {**parts.config, "architectures": [architecture], **config})
    save(folder, _random(_body(parts, words)))
    modes = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": HIDDEN} | {key: mode == pooling for mode, key in modes.items()},
    )
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(kinds)
        ],
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": False})
    return folder


def _write(folder: Path, config: Mapping[str, Any]) -> int:
    # BERT's class gives transformers the types of tokens, which the other models do not take.
    name = "BertTokenizer" if config.get("type_vocab_size") else "PreTrainedTokenizerFast"
    words = write_tokenizer(folder, "wordpiece", class_name=name, longest=LONGEST)
    write_json(folder / "config.json", {**config, "vocab_size": words})
    return words


def _body(parts: Modern, words: int) -> dict[str, tuple[int, ...]]:
    shapes = dict(parts.embeddings)
    for number in range(parts.config["num_hidden_layers"]):
        shapes |= {name.format(number): shape for name, shape in parts.layer.items()}
    shapes |= parts.after
    return {
        name: tuple(words if size == WORDS else size for size in shape)
        for name, shape in shapes.items()
        if name not in parts.left_out
    }


def _random(shapes: Shapes) -> dict[str, NDArray[np.float32]]:
    tensors = {}
    for name, shape in shapes.items():
        values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape) * 0.3
        is_gain = len(shape) == 1 and name.endswith(".weight")
        tensors[name] = (values + is_gain).astype(np.float32)
    return tensors
