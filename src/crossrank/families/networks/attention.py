"""Attention within each input of a packed row, as transformers' networks call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

if TYPE_CHECKING:
    from torch import Tensor

IMPLEMENTATION = "crossrank_packed"
"""The name that networks are given; transformers makes no masks for an implementation of its user's."""
# Scores at a time where each pair of tokens has a bias: 256 MiB in bfloat16, a few times over.
_MOST_SCORES = 2**27


@dataclass(frozen=True)
class Packing:
    """Which tokens of a packed row belong together.

    Attributes:
        lengths: Tokens of each input, longest first.
        bounds: Where each begins, and where the last one ends, int32 [n + 1], on the device.
        prefix: Tokens at the row's beginning that come before each input; the inputs follow them.
    """

    lengths: list[int]
    bounds: Tensor
    prefix: int = 0


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    packing: Packing,
    scaling: float,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention in every layer of a packed network.

    Args:
        module: The layer's attention; it says whether a token sees those after it.
        query: [1, heads, tokens, d].
        key: The same, perhaps with fewer heads, each for several of the queries'.
        value: As ``key``.
        attention_mask: None: no input sees another.
        packing: Which tokens belong together.
        scaling: Of the products.
        sliding_window: A token sees tokens that are less than so far away.

    Returns:
        [1, tokens, heads, d], and no weights.
    """
    reach = -1 if sliding_window is None else sliding_window - 1
    window = (reach, 0 if getattr(module, "is_causal", False) else reach)
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    attended = _after_prefix if packing.prefix else attend_within
    return attended(q, k, v, packing, scaling, window)[None], None


AttentionInterface.register(IMPLEMENTATION, attend)


def attend_within(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: Packing,
    scaling: float,
    window: tuple[int, int] = (-1, -1),
) -> Tensor:
    """Attention of each input's tokens, or of its first alone, to all tokens of that input.

    Args:
        query: [tokens, heads, d]; or [n, heads, d], the first token of each input.
        key: [tokens, heads, d], perhaps with fewer heads.
        value: As ``key``.
        packing: Which tokens belong together.
        scaling: Of the products.
        window: How many tokens to the left and to the right are seen; -1 for all.

    Returns:
        As ``query``.
    """
    # FlashAttention, in PyTorch itself. It needs the processors that have bfloat16, Ampere and later; and
    # heads of up to 256 numbers, a multiple of 8, as nearly all models have.
    width = query.shape[-1]
    if query.is_cuda and query.dtype is torch.bfloat16 and width % 8 == 0 and width <= 256:
        return _flash(query, key, value, packing, scaling, window)
    return _by_length(query, key, value, packing, scaling, window)


def _flash(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float, window: tuple[int, int]
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    firsts = len(query) == len(packing.lengths)
    every = packing.bounds
    attended: Tensor = varlen_attn(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        torch.arange(len(every), dtype=torch.int32, device=every.device) if firsts else every,
        every,
        1 if firsts else packing.lengths[0],
        packing.lengths[0],
        scale=scaling,
        window_size=window,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return attended


def _by_length(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float, window: tuple[int, int]
) -> Tensor:
    """Inputs of one length lie side by side, and make a batch without padding."""
    attended = torch.empty_like(query)
    for group in _groups(packing, firsts=len(query) == len(packing.lengths)):
        q, k, v = group.batch(query, key, value)
        mask = _mask(group.length, window, query.device) if group.asking == group.length else None
        result = scaled_dot_product_attention(
            q, k, v, attn_mask=mask, scale=scaling, enable_gqa=query.shape[1] != key.shape[1]
        )
        attended[group.rows] = result.transpose(1, 2).flatten(0, 1)
    return attended


def attend_with_bias(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: Packing,
    scaling: float,
    bias: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Attention with scores that also depend on distances.

    Args:
        query: As for :func:`attend_within`, and so are the others up to ``scaling``.
        key: [tokens, heads, d].
        value: As ``key``.
        packing: Which tokens belong together.
        scaling: Of the products.
        bias: Gives what is added to the scaled products, [n or 1, heads, queries, keys], for queries
            [n, heads, queries, d], of all tokens or of the first alone, and keys [n, heads, keys, d].

    Returns:
        As ``query``.
    """
    attended = torch.empty_like(query)
    for group in _groups(packing, firsts=len(query) == len(packing.lengths)):
        size = max(1, _MOST_SCORES // (query.shape[1] * group.asking * group.length))
        results = [
            scaled_dot_product_attention(q, k, v, attn_mask=bias(q, k), scale=scaling)
            for q, k, v in zip(*(x.split(size) for x in group.batch(query, key, value)), strict=True)
        ]
        attended[group.rows] = torch.cat(results).transpose(1, 2).flatten(0, 1)
    return attended


@dataclass(frozen=True, slots=True)
class _Group:
    """Inputs of one length.

    Attributes:
        count: How many.
        length: Tokens of each.
        asking: How many of them are asked about: all, or the first alone.
        tokens: Their tokens in the row.
        rows: Their queries.
    """

    count: int
    length: int
    asking: int
    tokens: slice
    rows: slice

    def batch(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, [count, heads, tokens, d]."""
        parts = (
            (query[self.rows], self.asking),
            (key[self.tokens], self.length),
            (value[self.tokens], self.length),
        )
        q, k, v = (x.unflatten(0, (self.count, each)).transpose(1, 2) for x, each in parts)
        return q, k, v


def _groups(packing: Packing, *, firsts: bool) -> Iterator[_Group]:
    token = row = 0
    for length, group in groupby(packing.lengths):
        count = len(list(group))
        asking = 1 if firsts else length
        tokens, rows = slice(token, token + count * length), slice(row, row + count * asking)
        token, row = tokens.stop, rows.stop
        yield _Group(count, length, asking, tokens, rows)


def _after_prefix(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scaling: float, window: tuple[int, int]
) -> Tensor:
    """Attention of the prefix to itself, and of each input to the prefix and itself, as if it stood alone.

    Only right where no token sees those after it.
    """
    prefix = packing.prefix
    alone = Packing([prefix], packing.bounds.new_tensor([0, prefix]))
    before = slice(0, prefix)
    attended = torch.empty_like(query)
    attended[before] = _by_length(query[before], key[before], value[before], alone, scaling, window)
    token = prefix
    for length, group in groupby(packing.lengths):
        count = len(list(group))
        tokens = slice(token, token + count * length)
        token = tokens.stop
        q = query[tokens].unflatten(0, (count, length)).transpose(1, 2)
        k, v = (
            torch.cat([x[before].expand(count, *x[before].shape), x[tokens].unflatten(0, (count, length))], 1)
            for x in (key, value)
        )
        result = scaled_dot_product_attention(
            q,
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=_mask(length, window, query.device, prefix),
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        attended[tokens] = result.transpose(1, 2).flatten(0, 1)
    return attended


def _mask(length: int, window: tuple[int, int], device: torch.device, prefix: int = 0) -> Tensor | None:
    """Which tokens [length, prefix + length] each token after a prefix sees; None where it is all of them."""
    left, right = (prefix + length if reach < 0 else reach for reach in window)
    if left >= prefix + length - 1 and right >= length - 1:
        return None
    places = torch.arange(prefix + length, device=device)
    distance = places[prefix:, None] - places
    return (distance <= left) & (distance >= -right)
