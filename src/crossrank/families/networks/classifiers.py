"""Classifiers: without padding where their family can, else with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers

from crossrank.errors import ModelError
from crossrank.families.model import Model
from crossrank.families.networks.attention import IMPLEMENTATION
from crossrank.families.networks.loading import load_network, read_config
from crossrank.families.networks.network import Network, head_in_float32
from crossrank.families.networks.pack import Pack

if TYPE_CHECKING:
    from torch import Tensor


def load_classifier(model: Model, device: torch.device, dtype: torch.dtype) -> Network:
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
    # An encoder that is set up as a decoder has masks of its own.
    packed = None if getattr(config, "is_decoder", False) else model.family.packed
    network = load_network(model, config, network_class, dtype, attention=IMPLEMENTATION if packed else None)
    network.base_model.to(dtype)
    head_in_float32(network)
    return (packed or PaddedClassifier)(network.to(device), device)


class PaddedClassifier:
    """Any other classifier, as transformers runs it.

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
        """The logits; see :class:`crossrank.families.networks.network.Network`."""
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
