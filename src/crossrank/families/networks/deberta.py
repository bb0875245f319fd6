"""DeBERTa-v2 and -v3 as transformers builds them, packed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from crossrank.families.networks.attention import attend_with_bias
from crossrank.families.networks.network import on_device
from crossrank.families.networks.pack import Pack

if TYPE_CHECKING:
    from torch import Tensor


class DebertaBody:
    """DeBERTa without a head; see :class:`crossrank.families.networks.bodies.Body`.

    transformers' parts are called one by one, since its attention takes padded batches alone, and projects
    the relative positions again for each of them.

    Args:
        network: transformers' network, on its device.
        device: The same device.
        rows: The row of each relative position; see :func:`crossrank.families.deberta.position_rows`.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device, rows: Tensor) -> None:
        self._network, self._device = network, device
        self._rows = rows.to(device)
        with torch.inference_mode():
            relative = network.encoder.get_rel_embedding()
            self._positions = [
                RelativePositions(layer.attention.self, relative) for layer in network.encoder.layer
            ]

    def __call__(self, pack: Pack, *, only_first: bool = False) -> Tensor:
        """The vectors of a pack's tokens, or of the first of each input."""
        row = on_device(pack, self._device)
        network, bounds = self._network, row.packing.bounds
        types = row.types if network.config.type_vocab_size else None
        x: Tensor = network.embeddings(input_ids=row.ids, token_type_ids=types, position_ids=row.positions)[0]
        places = self._places(row.packing.lengths[0])
        *_, last = network.encoder.layer
        for layer, positions in zip(network.encoder.layer, self._positions, strict=True):
            attention = layer.attention.self
            before = x[bounds[:-1]] if only_first and layer is last else x
            heads = attention.num_attention_heads, attention.attention_head_size
            query, key, value = (
                part(rows).unflatten(-1, heads)
                for part, rows in (
                    (attention.query_proj, before),
                    (attention.key_proj, x),
                    (attention.value_proj, x),
                )
            )
            bias = partial(positions.scores, places)
            context = attend_with_bias(query, key, value, row.packing, positions.scaling, bias).flatten(1)
            attended = layer.attention.output(context, before)
            x = layer.output(layer.intermediate(attended), attended)
        return x

    def _places(self, length: int) -> Tensor:
        """The row of the relative position of each query and key, int64 [length, length]."""
        here = torch.arange(length, device=self._device)
        return self._rows[here[:, None] - here + len(self._rows) // 2]


class RelativePositions:
    """The relative positions in one layer, projected once for all texts.

    Args:
        attention: transformers' attention of the layer.
        relative: A vector for each relative position, [rows, hidden]; None without relative positions.

    Attributes:
        scaling: Of all products of the layer's scores.
    """

    def __init__(self, attention: Any, relative: Tensor | None) -> None:
        heads = attention.num_attention_heads, attention.attention_head_size
        start = "" if attention.share_att_key else "pos_"
        terms = set() if relative is None else {"c2p", "p2c"}.intersection(attention.pos_att_type)

        def projected(term: str, name: str) -> Tensor | None:
            if term not in terms:
                return None
            table: Tensor = getattr(attention, start + name)(relative).unflatten(-1, heads).permute(1, 2, 0)
            return table[None]  # [1, heads, d, rows]

        self._keys, self._queries = projected("c2p", "key_proj"), projected("p2c", "query_proj")
        self.scaling = (attention.attention_head_size * (1 + len(terms))) ** -0.5

    def scores(self, places: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """What is added to scores; see :func:`crossrank.families.networks.attention.attend_with_bias`.

        Args:
            places: The row of each pair of tokens, [longest, longest].
            query: [n, heads, queries, d].
            key: [n, heads, keys, d].
        """
        near = places[: query.shape[2], : key.shape[2]]
        total = query.new_zeros(len(query), query.shape[1], *near.shape)
        if self._keys is not None:
            total += _looked_up(query @ self._keys, near)
        if self._queries is not None:
            total += _looked_up(key @ self._queries, near.T).transpose(-1, -2)
        return total * self.scaling


def _looked_up(products: Tensor, places: Tensor) -> Tensor:
    """[n, heads, tokens, rows] to [n, heads, tokens, others], by the row of each token and other."""
    return products.gather(-1, places.expand(*products.shape[:2], *places.shape))
