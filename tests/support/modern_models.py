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


def _code(repository: str, file: str, classes: Mapping[str, str]) -> dict[str, str]:
    """``auto_map``, as repositories with code of their own have it."""
    return {name: f"{repository}--{file}.{each}" for name, each in classes.items()}


# As jina-reranker-v1 and jina-embeddings-v2.
JINA = Modern(
    config={
        **_SIZES,
        "model_type": "bert",
        "architectures": ["JinaBertForSequenceClassification"],
        "auto_map": {
            "AutoConfig": "jinaai/jina-bert-implementation--configuration_bert.JinaBertConfig",
            **_code(
                "jinaai/jina-bert-implementation",
                "modeling_bert",
                {
                    "AutoModel": "JinaBertModel",
                    "AutoModelForMaskedLM": "JinaBertForMaskedLM",
                    "AutoModelForQuestionAnswering": "JinaBertForQuestionAnswering",
                    "AutoModelForSequenceClassification": "JinaBertForSequenceClassification",
                },
            ),
        },
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "feed_forward_type": "geglu",
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": LONGEST,
        "position_embedding_type": "alibi",
        "type_vocab_size": 2,
    },
    prefix="bert.",
    embeddings={
        "embeddings.word_embeddings.weight": (WORDS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        **_norm("embeddings.LayerNorm"),
    },
    layer={
        **_linear("encoder.layer.{}.attention.self.query", HIDDEN, HIDDEN),
        **_linear("encoder.layer.{}.attention.self.key", HIDDEN, HIDDEN),
        **_linear("encoder.layer.{}.attention.self.value", HIDDEN, HIDDEN),
        **_linear("encoder.layer.{}.attention.output.dense", HIDDEN, HIDDEN),
        **_norm("encoder.layer.{}.attention.output.LayerNorm"),
        "encoder.layer.{}.mlp.gated_layers.weight": (2 * INNER, HIDDEN),
        **_linear("encoder.layer.{}.mlp.wo", INNER, HIDDEN),
        **_norm("encoder.layer.{}.mlp.layernorm"),
    },
    head={**_linear("bert.pooler.dense", HIDDEN, HIDDEN), **_linear("classifier", HIDDEN, 1)},
)

_NEW_ENDS = {
    "AutoModel": "Model",
    "AutoModelForMaskedLM": "ForMaskedLM",
    "AutoModelForMultipleChoice": "ForMultipleChoice",
    "AutoModelForQuestionAnswering": "ForQuestionAnswering",
    "AutoModelForSequenceClassification": "ForSequenceClassification",
    "AutoModelForTokenClassification": "ForTokenClassification",
}
# As transformers saves it.
GTE = Modern(
    config={
        **_SIZES,
        "model_type": "gte",
        "architectures": ["GteForSequenceClassification"],
        "num_hidden_layers": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": LONGEST,
        "rope_parameters": {"rope_type": "linear", "rope_theta": 5000.0, "factor": 1.5},
        "type_vocab_size": 2,
    },
    prefix="gte.",
    embeddings={
        "embeddings.word_embeddings.weight": (WORDS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        **_norm("embeddings.LayerNorm"),
    },
    layer={
        **_linear("encoder.layer.{}.attention.qkv_proj", HIDDEN, 3 * HIDDEN),
        **_linear("encoder.layer.{}.attention.o_proj", HIDDEN, HIDDEN),
        **_norm("encoder.layer.{}.attn_ln"),
        "encoder.layer.{}.mlp.up_gate_proj.weight": (2 * INNER, HIDDEN),
        **_linear("encoder.layer.{}.mlp.down_proj", INNER, HIDDEN),
        **_norm("encoder.layer.{}.mlp_ln"),
    },
    head={**_linear("gte.pooler.dense", HIDDEN, HIDDEN), **_linear("classifier", HIDDEN, 1)},
)
# The settings of gte-multilingual-reranker-base, whose published config.json was not at hand.
NEW = replace(
    GTE,
    config={
        **{key: value for key, value in GTE.config.items() if key != "rope_parameters"},
        "model_type": "new",
        "architectures": ["NewForSequenceClassification"],
        "auto_map": {
            "AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig",
            **_code(
                "Alibaba-NLP/new-impl",
                "modeling",
                {name: f"New{end}" for name, end in _NEW_ENDS.items()},
            ),
        },
        "layer_norm_type": "layer_norm",
        "logn_attention_clip1": False,
        "logn_attention_scale": False,
        "pack_qkv": True,
        "position_embedding_type": "rope",
        "rope_scaling": {"factor": 8.0, "type": "ntk"},
        "rope_theta": 20000,
        "type_vocab_size": 1,
        "unpad_inputs": False,
        "use_memory_efficient_attention": False,
    },
    prefix="new.",
    embeddings={**GTE.embeddings, "embeddings.token_type_embeddings.weight": (1, HIDDEN)},
    head={**_linear("new.pooler.dense", HIDDEN, HIDDEN), **_linear("classifier", HIDDEN, 1)},
)
# As transformers saves it.
NOMIC = Modern(
    config={
        **_SIZES,
        "model_type": "nomic_bert",
        "architectures": ["NomicBertForSequenceClassification"],
        "num_hidden_layers": 2,
        "hidden_act": "silu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": LONGEST,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
        "type_vocab_size": 2,
    },
    prefix="nomic_bert.",
    embeddings={
        "embeddings.word_embeddings.weight": (WORDS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        **_norm("emb_ln"),
    },
    layer={
        "encoder.layers.{}.attn.Wqkv.weight": (3 * HIDDEN, HIDDEN),
        "encoder.layers.{}.attn.out_proj.weight": (HIDDEN, HIDDEN),
        **_norm("encoder.layers.{}.norm1"),
        "encoder.layers.{}.mlp.fc11.weight": (INNER, HIDDEN),
        "encoder.layers.{}.mlp.fc12.weight": (INNER, HIDDEN),
        "encoder.layers.{}.mlp.fc2.weight": (HIDDEN, INNER),
        **_norm("encoder.layers.{}.norm2"),
    },
    head={**_linear("nomic_bert.pooler.dense", HIDDEN, HIDDEN), **_linear("classifier", HIDDEN, 1)},
)
# As nomic-embed-text-v1.5.
OWN_NOMIC = replace(
    NOMIC,
    config={
        "model_type": "nomic_bert",
        "architectures": ["NomicBertForSequenceClassification"],
        "activation_function": "swiglu",
        "auto_map": {
            "AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
            **_code(
                "nomic-ai/nomic-bert-2048",
                "modeling_hf_nomic_bert",
                {"AutoModel": "NomicBertModel", "AutoModelForMaskedLM": "NomicBertForPreTraining"},
            ),
        },
        "causal": False,
        "layer_norm_epsilon": 1e-12,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
        "n_embd": HIDDEN,
        "n_head": HEADS,
        "n_inner": INNER,
        "n_layer": 2,
        "n_positions": LONGEST,
        "num_hidden_layers": 2,
        "parallel_block": False,
        "prenorm": False,
        "qkv_proj_bias": False,
        "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "rotary_scaling_factor": None,
        "type_vocab_size": 2,
        "use_rms_norm": False,
    },
    prefix="bert.",
    head={**_linear("bert.pooler.dense", HIDDEN, HIDDEN), **_linear("classifier", HIDDEN, 1)},
)

MODERN: dict[str, Modern] = {
    "deberta-v2": DEBERTA,
    "deberta-v2-old": OLD_DEBERTA,
    "gte": GTE,
    "new": NEW,
    "jina-bert": JINA,
    "jina-bert-original": replace(
        JINA,
        config={**JINA.config, "feed_forward_type": "original"},
        layer={
            **{name: shape for name, shape in JINA.layer.items() if ".mlp." not in name},
            **_linear("encoder.layer.{}.intermediate.dense", HIDDEN, INNER),
            **_linear("encoder.layer.{}.output.dense", INNER, HIDDEN),
            **_norm("encoder.layer.{}.output.LayerNorm"),
        },
    ),
    "jina-bert-reglu": replace(
        JINA, config={**JINA.config, "feed_forward_type": "reglu", "num_attention_heads": HEADS}
    ),
    "modernbert": MODERNBERT,
    # In the words of today's transformers; the last layer is a local one.
    "modernbert-local": replace(
        MODERNBERT,
        config={
            **{name: value for name, value in MODERNBERT.config.items() if "global" not in name},
            "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 80000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
            },
        },
    ),
    "nomic_bert": NOMIC,
    "nomic_bert-own": OWN_NOMIC,
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
    name = "BertTokenizer" if config.get("type_vocab_size", 0) > 1 else "PreTrainedTokenizerFast"
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
