"""Random model folders of every family, a few hundred kilobytes each, the same wherever they are written."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import models, normalizers, pre_tokenizers, processors

HIDDEN, LAYERS, HEADS, INNER, EMBEDDING = 32, 2, 4, 48, 24
_VOCABULARY = """
a about all and are as at bake baker bakes bees bread by capital city cold cost costs dough economy
families find flowers for from grow harbour heat home how in is it leaves lower map moon night not of on
or other out passage plan pump question rain rise sea sleep tells the their they tide to town train was
water what when where which who with work year
"""
_WORDS = _VOCABULARY.split()
PAIRS = (
    ("who bakes bread", "the baker bakes bread, at night!"),
    (
        "where is the harbour",
        "the sea rises with the moon, and other tides leave the harbour lower than " * 2,
    ),
    ("what is the plan for the economy", "the plan is to lower costs for families by year 2024. " * 20),
    ("how do bees find flowers in the city at night? " * 12, "they tell each other the way. " * 20),
    ("how do bees find flowers in the city at night? " * 12, "by their dance"),
    ("who bakes bread", ""),
    ("Ünïcode naïve 東京?", "café ﬁ \u200b\té 🎉 Москва"),
    # Special tokens written out in a text, as a person may; RoBERTa counts positions past a <pad>.
    ("a <pad> b", "bread [PAD] dough <pad> rain </s> [SEP] tide"),
)
TEXTS = tuple(passage for _, passage in PAIRS)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-éü"


@dataclass(frozen=True)
class Family:
    """What sets one family's folder apart.

    Attributes:
        architecture: How transformers' classes of the family begin.
        tokenizer: The kind of tokenizer, and the name of its class in transformers.
        longest: Tokens that the model reads.
        config: What config.json has next to the common.
    """

    architecture: str
    tokenizer: tuple[str, str]
    longest: int = 64
    config: Mapping[str, Any] = field(default_factory=dict)


FAMILIES = {
    "bert": Family("Bert", ("wordpiece", "BertTokenizer")),
    "camembert": Family("Camembert", ("unigram-camembert", "CamembertTokenizer")),
    "distilbert": Family("DistilBert", ("wordpiece", "DistilBertTokenizer")),
    "electra": Family("Electra", ("wordpiece", "ElectraTokenizer"), config={"embedding_size": EMBEDDING}),
    # Long enough for the distances beyond 128 that share the last bucket of the attention bias.
    "mpnet": Family(
        "MPNet", ("wordpiece-mpnet", "MPNetTokenizer"), 160, {"relative_attention_num_buckets": 32}
    ),
    "roberta": Family("Roberta", ("bpe", "RobertaTokenizer")),
    "xlm-roberta": Family("XLMRoberta", ("unigram", "XLMRobertaTokenizer")),
}


def write_reranker(
    folder: Path, family: str = "bert", *, labels: int = 1, config: Mapping[str, Any] | None = None
) -> Path:
    """Write a classifier with random weights; ``config`` is laid over its config.json."""
    parts = FAMILIES[family]
    settings = _config(family, f"{parts.architecture}ForSequenceClassification", labels) | dict(config or {})
    _write(folder, family, settings)
    prefix = {"camembert": "roberta", "xlm-roberta": "roberta"}.get(family, family)
    shapes = {f"{prefix}.{name}": shape for name, shape in _encoder(family, settings).items()}
    save(folder, random_tensors(shapes | _head(family, labels)))
    return folder


def write_embedder(
    folder: Path,
    family: str = "bert",
    *,
    pooling: str = "mean",
    dense: str | None = None,
    normalize: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a sentence-transformers embedder with random weights.

    Args:
        folder: Where; it is made.
        family: One of FAMILIES.
        pooling: ``cls``, ``mean``, ``max`` or ``mean_sqrt_len``.
        dense: The activation of a dense layer after pooling, as PyTorch names it; None for no such layer.
        normalize: Whether vectors get unit length.
        settings: config_sentence_transformers.json.
    """
    config = _config(family, f"{FAMILIES[family].architecture}Model", 1)
    for key in ("id2label", "label2id"):
        del config[key]
    _write(folder, family, config)
    save(folder, random_tensors(_encoder(family, config) | _pooler(family)))
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modes = {
        "cls": "pooling_mode_cls_token",
        "mean": "pooling_mode_mean_tokens",
        "max": "pooling_mode_max_tokens",
        "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    }
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": HIDDEN} | {key: mode == pooling for mode, key in modes.items()},
    )
    if dense is not None:
        modules.append(("2_Dense", "Dense"))
        shape = {"in_features": HIDDEN, "out_features": 20, "bias": True, "activation_function": dense}
        write_json(folder / "2_Dense" / "config.json", shape)
        save(folder / "2_Dense", random_tensors(_linear("linear", HIDDEN, 20)))
    if normalize:
        modules.append(("3_Normalize", "Normalize"))
        (folder / "3_Normalize").mkdir(exist_ok=True)
    _write_modules(folder, modules)
    longest = FAMILIES[family].longest
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    if settings is not None:
        write_json(folder / "config_sentence_transformers.json", settings)
    return folder


def write_modular(folder: Path, family: str = "bert", *, labels: int = 1) -> Path:
    """Write a reranker with the modules of cross-encoder/ettin-reranker-17m-v1 and random weights."""
    write_embedder(folder, family, pooling="cls", normalize=False)
    modules = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        ("2_Dense", "Dense"),
        ("3_LayerNorm", "LayerNorm"),
    ]
    modules.append(("4_Dense", "Dense"))
    shape = {"in_features": HIDDEN, "out_features": HIDDEN, "bias": False}
    write_json(
        folder / "2_Dense" / "config.json",
        shape | {"activation_function": "torch.nn.modules.activation.GELU"},
    )
    write_json(folder / "3_LayerNorm" / "config.json", {"dimension": HIDDEN})
    last = {"activation_function": "torch.nn.modules.linear.Identity", "module_output_name": "scores"}
    write_json(folder / "4_Dense" / "config.json", shape | {"out_features": labels, "bias": True} | last)
    save(folder / "2_Dense", random_tensors({"linear.weight": (HIDDEN, HIDDEN)}))
    save(folder / "3_LayerNorm", random_tensors(_norm("norm")))
    save(folder / "4_Dense", random_tensors(_linear("linear", HIDDEN, labels)))
    kinds = ["Pooling", "Dense", "LayerNorm", "Dense"]
    _write_modules(
        folder, [("", "Transformer"), *((f"{i}_{kind}", kind) for i, kind in enumerate(kinds, start=1))]
    )
    write_json(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder"})
    return folder


def write_static(folder: Path, *, place: str = "", normalize: bool = False) -> Path:
    """Write a static embedder with random word vectors, in a folder of the folder if ``place`` names one."""
    tokenizer, _ = _tokenizer("wordpiece")
    save(folder / place, random_tensors({"embedding.weight": (tokenizer.get_vocab_size(), EMBEDDING)}))
    tokenizer.save(str(folder / place / "tokenizer.json"))
    modules = [(place, "StaticEmbedding")]
    if normalize:
        modules.append(("1_Normalize", "Normalize"))
        (folder / "1_Normalize").mkdir(exist_ok=True)
    _write_modules(folder, modules)
    return folder


def _write_modules(folder: Path, modules: Iterable[tuple[str, str]]) -> None:
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )


def add_outliers(folder: Path) -> Path:
    """Give a bert model's matrices large factors of two equal inputs that cancel: float32 gives the same as
    without, and int8, which has one scale a row, rounds all other factors away.
    """
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    for name, values in tensors.items():
        if "LayerNorm" in name:
            values[:2] = 1 if name.endswith("bias") else 0
        elif name.endswith(("query.weight", "key.weight", "value.weight", "intermediate.dense.weight")):
            values[:, 0], values[:, 1] = 1e4, -1e4
    save(folder, tensors)
    return folder


def random_tensors(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Normal numbers by the name of the tensor, without the family's prefix; gains stay around 1."""
    tensors = {}
    for name, shape in shapes.items():
        bare = name.split(".", 1)[1] if name.split(".")[0] in {*FAMILIES, "roberta"} else name
        values = np.random.default_rng(zlib.crc32(bare.encode())).standard_normal(shape) * 0.3
        gain = name.lower().endswith("norm.weight")
        tensors[name] = (values + 1 if gain else values).astype(np.float32)
    return tensors


def save(folder: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def write_json(file: Path, content: object) -> None:
    """Write a JSON file, and its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def change_json(file: Path, **changes: Any) -> None:
    """Lay ``changes`` over a JSON object; None takes a key away."""
    content = (json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}) | changes
    write_json(file, {key: value for key, value in content.items() if value is not None})


def write_tokenizer(
    folder: Path, kind: str, *, class_name: str, longest: int, settings: Mapping[str, Any] | None = None
) -> int:
    """Write tokenizer.json and tokenizer_config.json; returns the size of the vocabulary."""
    tokenizer, special = _tokenizer(kind)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    common = {"tokenizer_class": class_name, "model_max_length": longest, **special}
    write_json(folder / "tokenizer_config.json", common | dict(settings or {}))
    return tokenizer.get_vocab_size()


def _write(folder: Path, family: str, config: Mapping[str, Any]) -> None:
    kind, class_name = FAMILIES[family].tokenizer
    untyped = (
        {"model_input_names": ["input_ids", "attention_mask"]} if family in {"distilbert", "mpnet"} else {}
    )
    words = write_tokenizer(
        folder, kind, class_name=class_name, longest=FAMILIES[family].longest, settings=untyped
    )
    write_json(folder / "config.json", {**config, "vocab_size": words})


def _config(family: str, architecture: str, labels: int) -> dict[str, Any]:
    parts = FAMILIES[family]
    shifted = family in {"camembert", "mpnet", "roberta", "xlm-roberta"}
    common: dict[str, Any] = {
        "model_type": family,
        "architectures": [architecture],
        "pad_token_id": 1 if shifted else 0,
        "max_position_embeddings": parts.longest + 2 * shifted,
        "id2label": {str(i): f"LABEL_{i}" for i in range(labels)},
        "label2id": {f"LABEL_{i}": i for i in range(labels)},
        **parts.config,
    }
    if family == "distilbert":
        sizes = {
            "dim": HIDDEN,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "hidden_dim": INNER,
            "activation": "gelu",
        }
        return common | sizes | {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    return common | {
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5 if shifted else 1e-12,
        "type_vocab_size": 1 if shifted else 2,
    }


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, size: int = HIDDEN) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _encoder(family: str, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    width = config.get("embedding_size", HIDDEN)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (
            _tokenizer(FAMILIES[family].tokenizer[0])[0].get_vocab_size(),
            width,
        ),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        **_norm("embeddings.LayerNorm", width),
    }
    if family not in {"distilbert", "mpnet"}:
        shapes["embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], width)
    if width != HIDDEN:
        shapes |= _linear("embeddings_project", width, HIDDEN)
    if family == "mpnet":
        shapes["encoder.relative_attention_bias.weight"] = (config["relative_attention_num_buckets"], HEADS)
    for number in range(LAYERS):
        shapes |= _layer(family, number)
    return shapes


def _layer(family: str, number: int) -> dict[str, tuple[int, ...]]:
    if family == "distilbert":
        layer = f"transformer.layer.{number}"
        attention = [f"attention.{part}_lin" for part in ("q", "k", "v", "out")]
        up, down, norms = "ffn.lin1", "ffn.lin2", ("sa_layer_norm", "output_layer_norm")
    else:
        layer = f"encoder.layer.{number}"
        attention = [f"attention.self.{part}" for part in ("query", "key", "value")] + [
            "attention.output.dense"
        ]
        up, down, norms = (
            "intermediate.dense",
            "output.dense",
            ("attention.output.LayerNorm", "output.LayerNorm"),
        )
    if family == "mpnet":
        attention = [f"attention.attn.{part}" for part in "qkvo"]
        norms = ("attention.LayerNorm", "output.LayerNorm")
    shapes = _linear(f"{layer}.{up}", HIDDEN, INNER) | _linear(f"{layer}.{down}", INNER, HIDDEN)
    for name in attention:
        shapes |= _linear(f"{layer}.{name}", HIDDEN, HIDDEN)
    for name in norms:
        shapes |= _norm(f"{layer}.{name}")
    return shapes


def _pooler(family: str) -> dict[str, tuple[int, ...]]:
    return {} if family in {"distilbert", "electra"} else _linear("pooler.dense", HIDDEN, HIDDEN)


def _head(family: str, labels: int) -> dict[str, tuple[int, ...]]:
    if family == "bert":
        return _linear("bert.pooler.dense", HIDDEN, HIDDEN) | _linear("classifier", HIDDEN, labels)
    if family == "distilbert":
        return _linear("pre_classifier", HIDDEN, HIDDEN) | _linear("classifier", HIDDEN, labels)
    return _linear("classifier.dense", HIDDEN, HIDDEN) | _linear("classifier.out_proj", HIDDEN, labels)


def _tokenizer(kind: str) -> tuple[tokenizers.Tokenizer, dict[str, str]]:
    """A tokenizer, and its special tokens as tokenizer_config.json names them."""
    if kind == "wordpiece":
        names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
        tokenizer = _word_pieces(names.values(), names["unk"])
        around = [(names["sep"], 3), (names["cls"], 2)]
        tokenizer.post_processor = processors.BertProcessing(*around)
        return _with_special(tokenizer, names)
    names = {
        "bos": "<s>",
        "pad": "<pad>",
        "eos": "</s>",
        "unk": "<unk>",
        "cls": "<s>",
        "sep": "</s>",
        "mask": "<mask>",
    }
    if kind == "wordpiece-mpnet":
        names["unk"] = "[UNK]"
        tokenizer = _word_pieces(["<s>", "<pad>", "</s>", "[UNK]", "<mask>"], "[UNK]")
    elif kind == "bpe":
        tokenizer = _byte_pairs(["<s>", "<pad>", "</s>", "<unk>"])
    elif kind == "unigram":
        tokenizer = _unigram(["<s>", "<pad>", "</s>", "<unk>"])
    else:
        tokenizer = _unigram(["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
    if kind.startswith("unigram"):
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ends
        )
    else:
        byte_level = kind == "bpe"
        tokenizer.post_processor = processors.RobertaProcessing(
            *ends, trim_offsets=byte_level, add_prefix_space=False
        )
    return _with_special(tokenizer, names)


def _with_special(
    tokenizer: tokenizers.Tokenizer, names: Mapping[str, str]
) -> tuple[tokenizers.Tokenizer, dict[str, str]]:
    tokenizer.add_special_tokens(
        [tokenizers.AddedToken(t, special=True, normalized=False) for t in dict.fromkeys(names.values())]
    )
    return tokenizer, {f"{name}_token": token for name, token in names.items()}


def _word_pieces(special: Iterable[str], unknown: str) -> tokenizers.Tokenizer:
    letters = [*_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*special, *letters, *_WORDS]))}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _byte_pairs(special: list[str]) -> tokenizers.Tokenizer:
    pieces, merges = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())], []
    for word in [*_WORDS, *(f"Ġ{word}" for word in _WORDS)]:
        for end in range(1, len(word)):
            if word[: end + 1] not in pieces:
                pieces.append(word[: end + 1])
                merges.append((word[:end], word[end]))
    model = models.BPE({piece: i for i, piece in enumerate(pieces)}, merges)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _unigram(special: list[str]) -> tokenizers.Tokenizer:
    pieces = [(token, 0.0) for token in special]
    pieces += [
        ("▁", -4.0),
        *((letter, -6.0) for letter in _LETTERS),
        *((f"▁{word}", -3.0) for word in _WORDS),
    ]
    tokenizer = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=special.index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    return tokenizer
