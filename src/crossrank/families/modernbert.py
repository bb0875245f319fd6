"""ModernBERT (Warner et al. 2024): rotary positions; most layers see a window of tokens, some all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossrank.families.family import Family

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from crossrank.families.networks.pack import Pack


class PackedModernBert:
    """transformers' classifier, packed.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._device = network, device
        self._takes_mean = network.config.classifier_pooling == "mean"

    def __call__(self, pack: Pack) -> Tensor:
        """The logits; see :class:`crossrank.families.networks.network.Network`."""
        import torch

        from crossrank.families.networks.network import on_device

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


FAMILY = Family(names=("modernbert",), packed=PackedModernBert)
