"""transformers' networks without their heads: the vectors of all tokens of a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import transformers

from crossrank.errors import ModelError
from crossrank.families.model import Model
from crossrank.families.networks.attention import IMPLEMENTATION, Packing
from crossrank.families.networks.classifiers import padded_batch
from crossrank.families.networks.loading import load_network, read_config
from crossrank.families.networks.network import on_device
from crossrank.families.networks.pack import Pack

if TYPE_CHECKING:
    from torch import Tensor


# Below this, attention in two parts costs more than it saves.
_SHORTEST_PREFIX = 8


class Body(Protocol):
    """A transformer on a device.

    Attributes:
        padded: Whether inputs of one batch take the room of the longest.
    """

    padded: bool

    def __call__(self, pack: Pack, *, only_first: bool = False) -> Tensor:
        """The last layer's vectors on the device, [tokens, hidden], of all tokens of a pack.

        Args:
            pack: The inputs.
            only_first: The vectors of each input's first token alone, [n, hidden].
        """
        ...


def load_body(model: Model, device: torch.device, dtype: torch.dtype) -> Body:
    """A model without a head.

    Args:
        model: The folder.
        device: Where it runs.
        dtype: What it computes in.

    Raises:
        ModelError: transformers does not know the family, or the weights do not fit it.
    """
    config = read_config(model)
    network_class = transformers.MODEL_MAPPING.get(type(config), None)
    if network_class is None:
        raise ModelError(
            f"{model.name} is a {model.architecture} model, for which transformers has no network"
        )
    packs = not getattr(config, "is_decoder", False) and model.family.packed_body is not None
    packs = packs or model.family.packs_language_model
    network = load_network(
        model,
        config,
        network_class,
        dtype,
        attention=IMPLEMENTATION if packs else None,
        unused=("pooler.",),  # vectors are pooled by a module of their own
    )
    return body_of(model, network.to(dtype).to(device), device, packed=packs)


def body_of(model: Model, network: Any, device: torch.device, *, packed: bool) -> Body:
    """transformers' network without a head, on its device, as a body."""
    if not packed:
        return PaddedBody(network, device)
    if model.family.packed_body is not None:
        return model.family.packed_body(network, device)
    return DecoderBody(network, device)


class PackedBody:
    """A network whose attention takes packed rows, as transformers has it.

    Args:
        network: transformers' network, on its device.
        device: The same device.
        options: What the network is called with.
    """

    padded = False

    def __init__(self, network: Any, device: torch.device, **options: Any) -> None:
        self._network, self._device, self._options = network, device, options

    def __call__(self, pack: Pack, *, only_first: bool = False) -> Tensor:
        """The vectors; see :class:`Body`."""
        row = on_device(pack, self._device)
        output = self._network(
            input_ids=row.ids, position_ids=row.positions, packing=row.packing, **self._options
        )
        vectors: Tensor = output.last_hidden_state[0]
        return vectors[row.packing.bounds[:-1]] if only_first else vectors


class DecoderBody(PackedBody):
    """A decoder, in which no token sees those after it: what all inputs begin with is computed once.

    A reranker's inputs have a prompt and perhaps the query in common.

    Args:
        network: transformers' network, on its device.
        device: The same device.
    """

    def __init__(self, network: Any, device: torch.device) -> None:
        super().__init__(network, device, use_cache=False)
        looks_back = all(getattr(part, "is_causal", True) for part in network.modules())
        # FlashAttention would need the prefix next to each input.
        flash = device.type == "cuda" and network.dtype is torch.bfloat16
        self._shares = looks_back and not flash

    def __call__(self, pack: Pack, *, only_first: bool = False) -> Tensor:
        """The vectors; see :class:`Body`."""
        prefix = pack.common_prefix() if self._shares else 0
        if prefix < _SHORTEST_PREFIX or len(pack.lengths) == 1:
            return super().__call__(pack, only_first=only_first)
        starts, lengths = pack.bounds[:-1], pack.lengths - prefix
        rests = pack.positions() >= prefix
        row = np.concatenate([np.arange(prefix), np.flatnonzero(rests)])  # the first input's prefix, for all
        ids, positions = (
            torch.from_numpy(values[row]).to(self._device)[None] for values in (pack.ids, pack.positions())
        )
        bounds = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32) + prefix)
        packing = Packing(lengths.tolist(), bounds.to(self._device), prefix)
        output = self._network(input_ids=ids, position_ids=positions, packing=packing, **self._options)
        # Each token's place in the row.
        places = np.where(rests, prefix + np.cumsum(rests) - 1, pack.positions())
        if only_first:
            places = places[starts]
        vectors: Tensor = output.last_hidden_state[0]
        return vectors[torch.from_numpy(places).to(self._device)]


class PaddedBody:
    """Any other network, as transformers runs it.

    Args:
        network: transformers' network, on its device.
        device: The same device.
        options: What the network is called with.
    """

    padded = True

    def __init__(self, network: Any, device: torch.device, **options: Any) -> None:
        self._network, self._device, self._options = network, device, options
        self._pad_id = network.config.pad_token_id or 0
        self._has_types = (getattr(network.config, "type_vocab_size", 0) or 0) > 1

    def __call__(self, pack: Pack, *, only_first: bool = False) -> Tensor:
        """The vectors; see :class:`Body`."""
        # Padding comes after the text, and a text does not see what comes after it.
        batch = padded_batch(pack, self._pad_id, self._device)
        if not self._has_types:
            del batch["token_type_ids"]
        vectors: Tensor = self._network(**batch, **self._options).last_hidden_state
        return vectors[:, 0] if only_first else vectors[batch["attention_mask"].bool()]
