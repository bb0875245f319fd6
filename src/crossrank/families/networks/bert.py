"""BERT and what transformers builds of the same parts, packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from crossrank.families.networks.attention import Packing, attend_within
from crossrank.families.networks.network import FirstTokenClassifier, Network, on_device
from crossrank.families.networks.pack import Pack

if TYPE_CHECKING:
    from torch import Tensor


class BertBody:
    """The bodies of BERT, RoBERTa, XLM-RoBERTa, CamemBERT and ELECTRA, packed.

    Args:
        network: transformers' network without its head, on its device.
        device: The same device.
        shifted_by: As for :meth:`crossrank.families.networks.pack.Pack.positions`.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device, *, shifted_by: int | None = None) -> None:
        self._network, self._device = network, device
        self._has_types = network.config.type_vocab_size > 1
        self._shifted_by = shifted_by

    def __call__(self, pack: Pack, *, only_first: bool = False) -> Tensor:
        """The vectors; see :class:`crossrank.families.networks.bodies.Body`."""
        row = on_device(pack, self._device, shifted_by=self._shifted_by)
        types = row.types if self._has_types else torch.zeros_like(row.types)
        x = self._network.embeddings(input_ids=row.ids, token_type_ids=types, position_ids=row.positions)
        if hasattr(self._network, "embeddings_project"):  # ELECTRA's words are narrower than its layers
            x = self._network.embeddings_project(x)
        *layers, last = self._network.encoder.layer
        for layer in layers:
            x = layer(x, None, packing=row.packing)
        vectors: Tensor = (
            _first_of_layer(last, x[0], row.packing) if only_first else last(x, None, packing=row.packing)[0]
        )
        return vectors


def bert_classifier(network: Any, device: torch.device, *, shifted_by: int | None = None) -> Network:
    """The classifiers of these families, packed.

    Args:
        network: transformers' network, on its device.
        device: The same device.
        shifted_by: As for :class:`BertBody`.
    """
    body = BertBody(network.base_model, device, shifted_by=shifted_by)
    # BERT's body ends with a part of the head.
    pooler = getattr(network.base_model, "pooler", None)
    head = [network.classifier] if pooler is None else [pooler.float(), network.classifier]
    return FirstTokenClassifier(body, *head)


def _first_of_layer(layer: Any, x: Tensor, packing: Packing) -> Tensor:
    """The last layer's output for the first token of each input, [n, hidden]: the head reads no other."""
    attention = layer.attention.self
    first = x[packing.bounds[:-1]]
    query, key, value = (
        part(rows).unflatten(-1, (attention.num_attention_heads, attention.attention_head_size))
        for part, rows in ((attention.query, first), (attention.key, x), (attention.value, x))
    )
    context = attend_within(query, key, value, packing, attention.scaling).flatten(1)
    output: Tensor = layer.feed_forward_chunk(layer.attention.output(context, first))
    return output
