"""What the engine asks of a network, and what networks share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from crossrank.families.networks.attention import Packing
from crossrank.families.networks.pack import Pack

if TYPE_CHECKING:
    from torch import Tensor

    from crossrank.families.networks.bodies import Body


class Network(Protocol):
    """A model on a device.

    Attributes:
        padded: Whether inputs of one batch take the room of the longest.
    """

    padded: bool

    def __call__(self, pack: Pack) -> Tensor:
        """The outputs of inputs that come longest first, float32 [n, d], on the device."""
        ...


class FirstTokenClassifier:
    """A packed classifier whose head reads the first token of each input.

    Args:
        body: The network without its head.
        head: The parts of the head, in order. The first one gets float32 [n, 1, hidden]: transformers' heads
            take the first of several tokens.
    """

    padded = False

    def __init__(self, body: Body, *head: Callable[[Tensor], Tensor]) -> None:
        self._body, self._head = body, head

    def __call__(self, pack: Pack) -> Tensor:
        """The logits; see :class:`Network`."""
        x = self._body(pack, only_first=True)[:, None].float()
        for part in self._head:
            x = part(x)
        return x


@dataclass(frozen=True)
class PackedRow:
    """A pack on the device, as transformers' networks take it.

    Attributes:
        ids: Token ids, int32 [1, tokens].
        types: Token types, as ``ids``.
        positions: Positions, as ``ids``.
        packing: Which tokens belong together.
    """

    ids: Tensor
    types: Tensor
    positions: Tensor
    packing: Packing


def on_device(pack: Pack, device: torch.device, *, shifted_by: int | None = None) -> PackedRow:
    """Move a pack to a device, in one copy that nobody waits for.

    Args:
        pack: The pack.
        device: Where to.
        shifted_by: As for :meth:`Pack.positions`.
    """
    parts = [torch.from_numpy(x) for x in (pack.ids, pack.types, pack.positions(shifted_by), pack.bounds)]
    numbers = torch.cat(parts)
    if device.type == "cuda":  # only pinned memory is copied while the processor goes on
        numbers = numbers.pin_memory()
    numbers = numbers.to(device, non_blocking=True)
    ids, types, positions, bounds = numbers.split([len(part) for part in parts])
    return PackedRow(ids[None], types[None], positions[None], Packing(pack.lengths.tolist(), bounds))


def head_in_float32(network: Any) -> None:
    """Make all of a network but its body compute in float32, whatever the body computes in."""
    body = network.base_model
    for part in network.children():
        if part is not body:
            part.float().register_forward_pre_hook(_in_float32)


def _in_float32(_: object, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.float() if torch.is_tensor(x) and x.is_floating_point() else x for x in inputs)
