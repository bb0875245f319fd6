"""BERT with rotary positions, as transformers builds it, packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossrank.families.networks.network import FirstTokenClassifier, Network, on_device
from crossrank.families.networks.pack import Pack

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class PackedRotaryBody:
    """GTE and NomicBERT without a head; see :class:`crossrank.families.networks.bodies.Body`.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._device = network, device
        self._has_types = network.config.type_vocab_size > 1

    def __call__(self, pack: Pack, *, only_first: bool = False) -> Tensor:
        """The vectors of a pack's tokens, or of the first of each input."""
        row = on_device(pack, self._device)
        vectors: Tensor = self._network(
            input_ids=row.ids,
            position_ids=row.positions,
            token_type_ids=row.types if self._has_types else None,
            packing=row.packing,
        ).last_hidden_state[0]
        return vectors[row.packing.bounds[:-1]] if only_first else vectors


def rotary_classifier(network: Any, device: torch.device) -> Network:
    """The classifiers of GTE and NomicBERT, packed.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """
    body = network.base_model
    # The body ends with a part of the head, which would see the first token of the row alone.
    pooler, body.pooler = body.pooler.float(), None
    return FirstTokenClassifier(PackedRotaryBody(body, device), pooler, network.classifier)
