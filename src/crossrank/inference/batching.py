"""Batching: few shapes, little padding, and scores that do not depend on the other inputs of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.inference.tokenizer import Tokens

Batch: TypeAlias = Mapping[str, NDArray[np.int32]]
"""``input_ids``, ``attention_mask`` and ``token_type_ids``, each int32 [batch, length]."""

# Every batch reads all weights once, so small batches are limited by memory bandwidth; with more tokens than
# this, the activations no longer fit into a core's cache.
_TOKENS_A_BATCH = 1024
_LARGEST_BATCH = 16
_STEP = 16


def padded_length(length: int, limit: int) -> int:
    """The length that an input of ``length`` tokens is padded to: the next multiple of 16, at most ``limit``.

    It depends only on the input and not on the rest of the batch, so a pair always has the same shape and
    gets the same score.

    Example:
        >>> padded_length(100, 512), padded_length(511, 512), padded_length(60, 60)
        (112, 512, 60)
    """
    return min(-(-length // _STEP) * _STEP, limit)


def make_batches(
    inputs: Sequence[Tokens], *, pad_id: int, limit: int, shares: int
) -> Iterator[tuple[NDArray[np.intp], Batch]]:
    """Group inputs with the same padded length into batches of 16 or fewer, longest first.

    Args:
        inputs: The inputs.
        pad_id: The id of the padding token.
        limit: The maximum length of an input, in tokens.
        shares: A batch of several inputs has at most 1/shares of all tokens, so that a few inputs still keep
            every thread busy.

    Yields:
        Positions in ``inputs`` [batch], and the arrays ``input_ids``, ``attention_mask`` and
        ``token_type_ids``, each int32 [batch, length].
    """
    lengths = np.array([padded_length(len(tokens.ids), limit) for tokens in inputs], np.intp)
    most = min(_TOKENS_A_BATCH, -(-int(lengths.sum()) // shares))
    for length in sorted(set(lengths.tolist()), reverse=True):
        same = np.flatnonzero(lengths == length)
        size = min(_LARGEST_BATCH, max(1, most // length))
        # Parts of nearly equal size, since an engine has to prepare for each new shape.
        for positions in np.array_split(same, -(-len(same) // size)):
            yield positions, _pad([inputs[i] for i in positions], length, pad_id)


def _pad(inputs: Sequence[Tokens], length: int, pad_id: int) -> Batch:
    ids = np.full((len(inputs), length), pad_id, np.int32)
    mask = np.zeros((len(inputs), length), np.int32)
    types = np.zeros((len(inputs), length), np.int32)
    for row, tokens in enumerate(inputs):
        ids[row, : len(tokens.ids)] = tokens.ids
        mask[row, : len(tokens.ids)] = 1
        types[row, : len(tokens.ids)] = tokens.types
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
