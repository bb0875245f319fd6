"""Logits in a model's score cache: pairs that the queue need not compute."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from crossrank.inference.pairs import Pair
from crossrank.server.queue.job import Input

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder


def kept_logits(model: CrossEncoder, pairs: Sequence[Pair]) -> list[float | None]:
    """The logits of pairs that are in the cache; None for the others."""
    kept = model.kept_scores
    if kept is None:
        return [None] * len(pairs)
    outputs = [None if one is None else one.outputs for one in kept.get(pairs)]
    return [None if one is None else float(model.scoring.logits(one[None])[0]) for one in outputs]


def keep_logits(model: CrossEncoder, inputs: Sequence[Input], logits: Sequence[float]) -> None:
    """Put new logits into the cache, if the model has one."""
    kept = model.kept_scores
    # Of several outputs, the logit alone is known here.
    if kept is None or model.scoring.labels != 1:
        return
    finite = [place for place, logit in enumerate(logits) if isfinite(logit)]
    kept.put(
        [inputs[place].pair for place in finite],
        np.array([logits[place] for place in finite], np.float32).reshape(-1, 1),
        [inputs[place].tokens.truncated for place in finite],
    )
