"""Classifiers: the BERT family and ModernBERT without padding, all others with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers

from crossrank.errors import ModelError
from crossrank.inference.networks.attention import IMPLEMENTATION, Packing, attend_within
from crossrank.inference.networks.base import Network, head_in_float32, on_device
from crossrank.inference.networks.loading import load_network, read_config
from crossrank.inference.packing import Pack
from crossrank.models.folder import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

# transformers gives them the same parts by the same names.
_BERT_FAMILY = frozenset({"bert", "camembert", "electra", "roberta", "xlm-roberta"})
_SHIFTED = frozenset({"camembert", "roberta", "xlm-roberta"})


def load_classifier(model: ModelFolder, device: torch.device, dtype: torch.dtype) -> Network:
    """A reranker that is saved as ...ForSequenceClassification.

    Args:
        model: The folder.
        device: Where it runs.
        dtype: Of the body; the head is in float32.

    Raises:
        ModelError: transformers has no classifier for the family, or the weights do not fit it.
    """
    config = read_config(model)
    network_class = transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(config), None)
    if network_class is None:
        raise ModelError(
            f"{model.name} is a {model.architecture} model, for which transformers has no classifier"
        )
    packed: Any = ModernBertClassifier if model.architecture == "modernbert" else None
    if model.architecture in _BERT_FAMILY and not config.is_decoder:
        packed = BertClassifier
    network = load_network(model, config, network_class, dtype, attention=IMPLEMENTATION if packed else None)
    network.base_model.to(dtype)
    head_in_float32(network)
    loaded: Network = (packed or PaddedClassifier)(network.to(device), device)
    return loaded


class BertClassifier:
    """BERT, RoBERTa, XLM-RoBERTa, CamemBERT and ELECTRA, packed.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._body, self._device = network, network.base_model, device
        self._has_types = network.config.type_vocab_size > 1
        self._shifted_by = network.config.pad_token_id if network.config.model_type in _SHIFTED else None
        # BERT's body ends with a part of the head.
        self._pooler = getattr(self._body, "pooler", None)
        if self._pooler is not None:
            self._pooler.float()

    def __call__(self, pack: Pack) -> Tensor:
        """The logits; see :class:`crossrank.inference.networks.base.Network`."""
        row = on_device(pack, self._device, shifted_by=self._shifted_by)
        types = row.types if self._has_types else torch.zeros_like(row.types)
        x = self._body.embeddings(input_ids=row.ids, token_type_ids=types, position_ids=row.positions)
        if hasattr(self._body, "embeddings_project"):  # ELECTRA's words are narrower than its layers
            x = self._body.embeddings_project(x)
        *layers, last = self._body.encoder.layer
        for layer in layers:
            x = layer(x, None, packing=row.packing)
        first = _first_of_layer(last, x[0], row.packing)[:, None].float()
        logits: Tensor = self._network.classifier(self._pooler(first) if self._pooler is not None else first)
        return logits


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


class ModernBertClassifier:
    """ModernBERT (Warner et al. 2024), packed: most layers see a window of tokens, some all.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._device = network, device
        self._takes_mean = network.config.classifier_pooling == "mean"

    def __call__(self, pack: Pack) -> Tensor:
        """The logits; see :class:`crossrank.inference.networks.base.Network`."""
        row = on_device(pack, self._device)
        body = self._network.base_model
        x = body(input_ids=row.ids, position_ids=row.positions, packing=row.packing).last_hidden_state[0]
        bounds = row.packing.bounds
        pooled = (
            torch.segment_reduce(x.float(), "mean", lengths=bounds.diff().long(), axis=0)
            if self._takes_mean
            else x[bounds[:-1]]
        )
        logits: Tensor = self._network.classifier(self._network.head(pooled))
        return logits


class PaddedClassifier:
    """Any other classifier, as transformers runs it: DeBERTa, whose attention knows distances, and more.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """

    padded = True

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._device = network, device
        config = network.config
        self._pad_id = config.pad_token_id or 0
        self._has_types = (getattr(config, "type_vocab_size", 0) or 0) > 1

    def __call__(self, pack: Pack) -> Tensor:
        """The logits; see :class:`crossrank.inference.networks.base.Network`."""
        batch = padded_batch(pack, self._pad_id, self._device)
        if not self._has_types:
            del batch["token_type_ids"]
        logits: Tensor = self._network(**batch).logits
        return logits.float()


def padded_batch(pack: Pack, pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """``input_ids``, ``token_type_ids`` and ``attention_mask``, each int64 [n, longest], on the device."""
    shape = (len(pack.lengths), int(pack.lengths.max()))
    mask = torch.arange(shape[1]) < torch.from_numpy(pack.lengths)[:, None]
    ids = torch.full(shape, pad_id)
    types = torch.zeros(shape, dtype=torch.long)
    ids[mask] = torch.from_numpy(pack.ids).long()
    types[mask] = torch.from_numpy(pack.types).long()
    batch = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask.long()}
    if device.type == "cuda":
        batch = {name: values.pin_memory() for name, values in batch.items()}
    return {name: values.to(device, non_blocking=True) for name, values in batch.items()}
