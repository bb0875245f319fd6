"""The engine without a server: ``CrossEncoder.predict``, in the benchmark's own process."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from benchmarks.load.requests import Request

from crossrank import CrossEncoder

# So many at once fill all batches.
_AT_ONCE = 64


class Engine:
    """A cross-encoder and the requests. While a server is measured, it does nothing.

    Args:
        model: A name or folder.
        requests: The requests.
    """

    def __init__(self, model: str, requests: Sequence[Request]) -> None:
        self._model, self._requests = CrossEncoder(model), requests
        self._next = 0
        self.pairs_per_second()  # prepares all shapes

    def seconds_of(self, number: int) -> float:
        """How long one request takes."""
        began = time.perf_counter()
        self._model.predict(self._requests[number].pairs)
        return time.perf_counter() - began

    def pairs_per_second(self) -> float:
        """The throughput of one call with the pairs of 64 requests."""
        requests = [self._requests[(self._next + i) % len(self._requests)] for i in range(_AT_ONCE)]
        self._next += _AT_ONCE
        pairs = [pair for request in requests for pair in request.pairs]
        began = time.perf_counter()
        self._model.predict(pairs)
        return len(pairs) / (time.perf_counter() - began)

    def scores(self, numbers: Iterable[int]) -> dict[int, list[float]]:
        """The scores of some requests, from 0 to 1."""
        chosen = sorted(set(numbers))
        pairs = [pair for number in chosen for pair in self._requests[number].pairs]
        scores = self._model.predict(pairs, activation_fn="sigmoid").reshape(len(chosen), -1)
        return {number: row.tolist() for number, row in zip(chosen, scores, strict=True)}
