"""Answers of a wire format without a model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from crossrank.server.request import RerankAnswer, RerankRequest, Result
from crossrank.server.wire import Call


def results(request: RerankRequest, logits: Iterable[float], *, truncated: int = 0) -> list[Result]:
    """Results with these logits, 10 tokens each."""
    return [
        Result(index, document, logit, logit if request.raw_scores else sigmoid(logit), truncated, 10)
        for index, (document, logit) in enumerate(zip(request.documents, logits, strict=False))
    ]


def answered(call: Call, *logits: float, truncated: int = 0) -> Any:
    """The JSON value that is answered where the model gives these logits, in the order of the pairs."""
    rest = iter(logits)
    answers = []
    for request in call.requests:
        own = [next(rest) for _ in request.documents]
        answers.append(RerankAnswer(request, results(request, own, truncated=truncated), "served/model"))
    return json.loads(call.write(answers))


def sigmoid(logit: float) -> float:
    """The score of a logit."""
    return 1 / (1 + math.exp(-logit))
