"""MPNet as transformers builds it, packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from crossrank.families.networks.attention import attend_with_bias
from crossrank.families.networks.network import on_device
from crossrank.families.networks.pack import Pack

if TYPE_CHECKING:
    from torch import Tensor

# MPNet's positions begin after the padding token, which transformers' class knows as 1.
_SHIFTED_BY = 1


class MPNetBody:
    """MPNet without a head; see :class:`crossrank.families.networks.bodies.Body`.

    transformers' parts are called one by one, since its attention takes padded batches alone.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device) -> None:
        self._network, self._device = network, device

    def __call__(self, pack: Pack, *, only_first: bool = False) -> Tensor:
        """The vectors of a pack's tokens, or of the first of each input."""
        row = on_device(pack, self._device, shifted_by=_SHIFTED_BY)
        network, bounds = self._network, row.packing.bounds
        x: Tensor = network.embeddings(input_ids=row.ids, position_ids=row.positions)[0]
        # One for the longest input: what others need is its upper left corner.
        longest = x.new_empty(1, row.packing.lengths[0], 0)
        biases = network.encoder.compute_position_bias(longest).to(x.dtype)

        def bias(q: Tensor, k: Tensor) -> Tensor:
            corner: Tensor = biases[:, :, : q.shape[2], : k.shape[2]]
            return corner

        *_, last = network.encoder.layer
        for layer in network.encoder.layer:
            attention, before = layer.attention.attn, x
            if only_first and layer is last:
                before = x[bounds[:-1]]
            heads = attention.num_attention_heads, attention.attention_head_size
            query, key, value = (
                part(rows).unflatten(-1, heads)
                for part, rows in ((attention.q, before), (attention.k, x), (attention.v, x))
            )
            scaling = attention.attention_head_size**-0.5
            context = attend_with_bias(query, key, value, row.packing, scaling, bias).flatten(1)
            attended = layer.attention.LayerNorm(attention.o(context) + before)
            x = layer.output(layer.intermediate(attended), attended)
        return x
