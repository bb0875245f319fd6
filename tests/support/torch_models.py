"""Random models of families without a graph here, written by transformers; they need PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from support.tiny_models import HEADS, HIDDEN, INNER, change_json, write_json, write_reranker

COMMON: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": 96,
    "pad_token_id": 0,
}
# Layers of both kinds, and a window that leaves most of a passage out.
MODERNBERT: dict[str, Any] = {
    "num_hidden_layers": 4,
    "global_attn_every_n_layers": 3,
    "local_attention": 16,
    "bos_token_id": None,
    "eos_token_id": None,
    "cls_token_id": None,
    "sep_token_id": None,
}
DEBERTA: dict[str, Any] = {
    "num_hidden_layers": 2,
    "relative_attention": True,
    "position_buckets": 16,
    "pos_att_type": ["p2c", "c2p"],
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
    "type_vocab_size": 0,
}
DECODER: dict[str, Any] = {
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": None,
}
# Of Qwen's tokenizer: what lies side by side becomes a token together, line breaks after a mark among it.
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
# As sentence-transformers' models for reranking have it.
CHAT_TEMPLATE = """<|im_start|>system
Answer "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first }}
<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}<|im_end|>
<|im_start|>assistant
"""


def write_classifier(folder: Path, family: str, config: dict[str, Any]) -> Path:
    """Write a classifier with one label and BERT's tokenizer."""
    import transformers

    write_reranker(folder)
    words = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    settings = transformers.AutoConfig.for_model(
        family, **{**COMMON, **config}, vocab_size=words, num_labels=1
    )
    _save(folder, transformers.AutoModelForSequenceClassification.from_config(settings))
    change_json(
        folder / "tokenizer_config.json", model_max_length=96, tokenizer_class="PreTrainedTokenizerFast"
    )
    return folder


def write_body(folder: Path, family: str, config: dict[str, Any]) -> Path:
    """Write a network without a head, and BERT's tokenizer."""
    import transformers

    write_reranker(folder)
    words = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    settings = transformers.AutoConfig.for_model(family, **{**COMMON, **config}, vocab_size=words)
    _save(folder, transformers.AutoModel.from_config(settings))
    change_json(
        folder / "tokenizer_config.json", model_max_length=96, tokenizer_class="PreTrainedTokenizerFast"
    )
    return folder


def write_decoder_body(folder: Path, family: str = "qwen3", **config: Any) -> Path:
    """Write a decoder without a head, with Qwen's way to tokenise."""
    import transformers

    write_language_model(folder, family, **config)
    settings = transformers.AutoConfig.from_pretrained(folder)
    _save(folder, transformers.AutoModel.from_config(settings))
    return folder


def write_language_model(
    folder: Path, family: str = "qwen3", *, tokens: tuple[str, ...] = (), **config: Any
) -> Path:
    """Write a language model with Qwen's way to tokenise, and further tokens that are never taken apart."""
    import transformers

    tokenizer = _qwen_tokenizer()
    tokenizer.add_special_tokens([tokenizers.AddedToken(token, special=True) for token in tokens])
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 512,
            "pad_token": "<|endoftext|>",
            "padding_side": "left",
        },
    )
    words = tokenizer.get_vocab_size()
    settings = transformers.AutoConfig.for_model(family, **{**COMMON, **DECODER, **config}, vocab_size=words)
    _save(folder, transformers.AutoModelForCausalLM.from_config(settings))
    return folder


def _save(folder: Path, network: Any) -> None:
    import torch

    torch.manual_seed(7)
    with torch.no_grad():
        for name, values in network.named_parameters():
            values.normal_(0, 0.3)
            if "norm" in name.lower() and name.endswith("weight"):
                values += 1
    network.save_pretrained(folder)


def _qwen_tokenizer() -> tokenizers.Tokenizer:
    words = [*_MARKS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = []
    for word in ("yes", "no", "?\u010a", "\u0120who", "\u0120bakes", "\u0120bread", "\u0120the"):
        for end in range(1, len(word)):
            if word[: end + 1] not in words:
                words.append(word[: end + 1])
                merges.append((word[:end], word[end]))
    tokenizer = tokenizers.Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_QWEN_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.add_special_tokens([tokenizers.AddedToken(mark, special=True) for mark in _MARKS])
    return tokenizer
