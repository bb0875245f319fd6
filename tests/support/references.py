"""Networks that transformers does not have, from their published descriptions, in plain PyTorch."""

from __future__ import annotations

import json
import math
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, relu, softmax


class Reference(ABC):
    """One model, computed for one input at a time.

    Args:
        folder: Its folder.
    """

    prefix: str

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        self.tensors = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(self.config["max_position_embeddings"])

    def logits(self, query: str, passage: str) -> Tensor:
        """The logit of a pair."""
        encoding = self.tokenizer.encode(query, passage)
        hidden = self.encode(torch.tensor(encoding.ids), torch.tensor(encoding.type_ids))
        return self.classify(hidden[0])[0]

    def hidden_states(self, text: str) -> Tensor:
        """The vectors of a text's tokens, [length, hidden]."""
        ids = torch.tensor(self.tokenizer.encode(text).ids)
        return self.encode(ids, torch.zeros_like(ids))

    @abstractmethod
    def encode(self, ids: Tensor, types: Tensor) -> Tensor:
        """All layers: [length] to [length, hidden]."""

    def classify(self, first: Tensor) -> Tensor:
        """BERT's pooler and classifier."""
        return self.linear(torch.tanh(self.linear(first, "pooler.dense")), "classifier")

    def tensor(self, name: str) -> Tensor | None:
        """A tensor, with or without the prefix."""
        return self.tensors.get(f"{self.prefix}{name}", self.tensors.get(name))

    def linear(self, x: Tensor, name: str) -> Tensor:
        """A dense layer."""
        return linear(x, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"))

    def norm(self, x: Tensor, name: str) -> Tensor:
        """Layer norm."""
        gain, bias = self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")
        return layer_norm(x, x.shape[-1:], gain, bias, self.config["layer_norm_eps"])

    def heads(self, x: Tensor) -> Tensor:
        """[length, hidden] to [heads, length, d]."""
        return x.unflatten(-1, (self.config["num_attention_heads"], -1)).transpose(0, 1)


class JinaBert(Reference):
    """JinaBERT (Günther et al. 2023, section 3.1): BERT, post-norm, with ALiBi on both sides and GLU."""

    prefix = "bert."

    def encode(self, ids: Tensor, types: Tensor) -> Tensor:
        words, kinds = (
            self.tensor("embeddings.word_embeddings.weight"),
            self.tensor("embeddings.token_type_embeddings.weight"),
        )
        assert words is not None
        assert kinds is not None
        x = self.norm(words[ids] + kinds[types], "embeddings.LayerNorm")
        place = torch.arange(len(ids), dtype=torch.float32)
        heads = self.config["num_attention_heads"]
        assert math.log2(heads).is_integer()
        slopes = torch.tensor([2.0 ** (-8 * (head + 1) / heads) for head in range(heads)])
        bias = -slopes[:, None, None] * (place[:, None] - place).abs()
        for number in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{number}"
            q, k, v = (
                self.heads(self.linear(x, f"{layer}.attention.self.{part}"))
                for part in ("query", "key", "value")
            )
            weights = softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5 + bias, -1)
            context = (weights @ v).transpose(0, 1).flatten(1)
            x = self.norm(
                self.linear(context, f"{layer}.attention.output.dense") + x,
                f"{layer}.attention.output.LayerNorm",
            )
            x = self.feed_forward(x, layer)
        return x

    def feed_forward(self, x: Tensor, layer: str) -> Tensor:
        """The part of a layer after its attention."""
        if self.config["feed_forward_type"] == "original":
            inner = gelu(self.linear(x, f"{layer}.intermediate.dense"))
            return self.norm(self.linear(inner, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
        function = {"geglu": gelu, "reglu": relu}[self.config["feed_forward_type"]]
        gated, other = self.linear(x, f"{layer}.mlp.gated_layers").chunk(2, -1)
        return self.norm(
            self.linear(function(gated) * other, f"{layer}.mlp.wo") + x, f"{layer}.mlp.layernorm"
        )


def as_gte(folder: Path) -> Path:
    """A model with GTE's own code as transformers has it.

    Its way to stretch rotary positions ("NTK", fixed) is a larger theta and one factor for all frequencies.
    """
    config = json.loads((folder / "config.json").read_text())
    size = config["hidden_size"] // config["num_attention_heads"]
    factor = config.pop("rope_scaling")["factor"]
    theta = config.pop("rope_theta") * factor
    config["rope_parameters"] = {"rope_type": "linear", "rope_theta": theta, "factor": factor ** (2 / size)}
    return _rewritten(folder, config | {"model_type": "gte"}, {})


def as_nomic_bert(folder: Path) -> Path:
    """A model with NomicBERT's own code as transformers has it."""
    config = json.loads((folder / "config.json").read_text())
    names = {
        "n_embd": "hidden_size",
        "n_head": "num_attention_heads",
        "n_inner": "intermediate_size",
        "n_layer": "num_hidden_layers",
        "n_positions": "max_position_embeddings",
        "layer_norm_epsilon": "layer_norm_eps",
    }
    config = {names.get(name, name): value for name, value in config.items()}
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": config["rotary_emb_base"]}
    return _rewritten(folder, config, {"bert.": "nomic_bert."})


def _rewritten(folder: Path, config: dict[str, Any], prefixes: dict[str, str]) -> Path:
    copy = folder.with_name(f"{folder.name}-in-transformers")
    shutil.copytree(folder, copy)
    config = {name: value for name, value in config.items() if name != "auto_map"}
    (copy / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    for old, new in prefixes.items():
        tensors = {
            new + name.removeprefix(old) if name.startswith(old) else name: values
            for name, values in tensors.items()
        }
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


# What computes a model that transformers cannot load as it is.
REFERENCES: dict[str, type[Reference]] = dict.fromkeys(
    ["jina-bert", "jina-bert-original", "jina-bert-reglu"], JinaBert
)
REWRITTEN = {"new": as_gte, "nomic_bert-own": as_nomic_bert}
