"""Inputs to batches: few shapes, little padding, and the same arithmetic for a pair in any company."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.inference.tokenizer import Tokens

Batch: TypeAlias = Mapping[str, NDArray[np.int32]]
"""``input_ids``, ``attention_mask`` and ``token_type_ids``, each int32 [batch, length]."""

# A batch of about so many tokens stays in a core's own cache; larger ones are slower on every engine.
_TOKENS_A_BATCH = 640
_LARGEST_BATCH = 16
_STEP = 16


def padded_length(length: int, limit: int) -> int:
    """The length that an input of ``length`` tokens is padded to: the next multiple of 16, at most ``limit``.

    It depends on the input alone and never on its neighbours, so that a pair is computed in the same shape,
    and gets the same score, whatever it is batched with.

    Example:
        >>> padded_length(100, 512), padded_length(511, 512), padded_length(60, 60)
        (112, 512, 60)
    """
    return min(-(-length // _STEP) * _STEP, limit)


def make_batches(
    inputs: Sequence[Tokens], *, pad_id: int, limit: int
) -> Iterator[tuple[NDArray[np.intp], Batch]]:
    """Group inputs of one padded length into batches of 1, 2, 4, 8 or 16, longest first.

    An engine prepares itself for each shape that it meets; with 32 lengths and 5 sizes they are few.

    Args:
        inputs: The inputs.
        pad_id: The padding token.
        limit: The model's longest input, in tokens.

    Yields:
        Positions in ``inputs`` [batch], and the arrays ``input_ids``, ``attention_mask`` and
        ``token_type_ids``, each int32 [batch, length].
    """
    lengths = np.array([padded_length(len(tokens.ids), limit) for tokens in inputs], np.intp)
    for length in sorted(set(lengths.tolist()), reverse=True):
        same = np.flatnonzero(lengths == length)
        while len(same):
            size = min(len(same), _LARGEST_BATCH, max(1, _TOKENS_A_BATCH // length))
            size = 1 << (size.bit_length() - 1)
            positions, same = same[:size], same[size:]
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
