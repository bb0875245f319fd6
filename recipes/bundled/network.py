"""A cross-encoder in PyTorch, for training and scoring: pairs of token ids in, logits out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

Pair = tuple[list[int], list[int]]
# Tokens at once: few on a CPU, where what is padded costs time, and many on a GPU, where a start does.
PART = {"cpu": 2_048, "cuda": 65_536}
# On CPUs the plain form of attention is faster than the fused one for short pairs, and slower for long ones.
PLAIN_ATTENTION = 256


class Network:
    """A cross-encoder of BERT's or MPNet's family with one score, without dropout.

    Args:
        folder: Its weights; a bi-encoder's may serve, and the head is then new.
    """

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(7)
        self.folder = folder
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, dtype=torch.float32
        ).to(self.device)
        for module in self.model.modules():
            # One pass does not overfit, and drawing the noise takes a CPU as long as the network.
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        self._is_bert = self.model.config.model_type == "bert"
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        first, last = ("[CLS]", "[SEP]") if self._is_bert else ("<s>", "</s>")
        self._first, self._last = (self.tokenizer.token_to_id(token) for token in (first, last))
        self._between = [self._last] if self._is_bert else [self._last, self._last]
        self._padding = self.model.config.pad_token_id

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        return [e.ids for e in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def body_and_head(self, frozen: int = 0) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
        """What is trained; embeddings are not, nor are the lowest ``frozen`` layers."""
        encoder = self.model.base_model
        still = {id(p) for p in encoder.embeddings.parameters()}
        for layer in encoder.encoder.layer[:frozen]:
            still |= {id(p) for p in layer.parameters()}
        for parameter in self.model.parameters():
            parameter.requires_grad_(id(parameter) not in still)
        pooler = getattr(encoder, "pooler", None)
        head = [*(pooler.parameters() if pooler is not None else ()), *self.model.classifier.parameters()]
        own = {id(p) for p in head}
        return [p for p in self.model.parameters() if p.requires_grad and id(p) not in own], head

    def logits(self, pairs: Sequence[Pair], tokens: int) -> torch.Tensor:
        """float32 of shape [pairs]; pairs are cut to ``tokens`` as in a search."""
        rows = [self._joined(query, passage, tokens) for query, passage in pairs]
        order, found = [], []
        with torch.autocast(self.device, torch.bfloat16):
            for part in _parts([len(ids) for ids, _ in rows], PART[self.device]):
                found.append(self._run([rows[place] for place in part]))
                order += part
        return torch.cat(found)[torch.tensor(order, device=self.device).argsort()]

    def save(self, folder: Path) -> None:
        """Write the weights and what a tokenizer needs."""
        self.model.save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(self.folder / name, folder / name)

    def _joined(self, query: list[int], passage: list[int], tokens: int) -> tuple[list[int], int]:
        room = tokens - 2 - len(self._between)
        if len(query) + len(passage) > room:
            query = query[: max(room // 2, room - len(passage))]
            passage = passage[: room - len(query)]
        begin = [self._first, *query, *self._between]
        return [*begin, *passage, self._last], len(begin)

    def _run(self, rows: Sequence[tuple[list[int], int]]) -> torch.Tensor:
        longest = len(rows[0][0])
        ids = torch.full((len(rows), longest), self._padding, dtype=torch.long)
        second, mask = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, (values, begin) in enumerate(rows):
            ids[row, : len(values)] = torch.tensor(values)
            second[row, begin : len(values)] = 1
            mask[row, : len(values)] = 1
        if self.device == "cpu" and self._is_bert:
            self.model.set_attn_implementation("eager" if longest <= PLAIN_ATTENTION else "sdpa")
        inputs = {"input_ids": ids, "attention_mask": mask} | (
            {"token_type_ids": second} if self._is_bert else {}
        )
        out = self.model(**{name: tensor.to(self.device) for name, tensor in inputs.items()}).logits
        return out[:, 0].float()


def _parts(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Places in parts of at most this many tokens with the padding, the longest pairs first."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    at = 0
    while at < len(order):
        size = max(1, tokens // max(1, lengths[order[at]]))
        yield order[at : at + size]
        at += size
