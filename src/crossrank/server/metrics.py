"""Counts and durations in Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate

from crossrank.inference.score_cache import ScoreCache
from crossrank.server.queue.job import Scored
from crossrank.server.queue.scheduler import Step

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKENS = (64, 256, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
_DOCUMENTS = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 10000)
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


class Counter:
    """A number that grows, for each value of its labels."""

    def __init__(self, name: str, help_: str, labels: Sequence[str] = ()) -> None:
        self._name, self._help, self._labels = name, help_, labels
        self._lock = threading.Lock()
        self._values: dict[tuple[str, ...], float] = {}

    def add(self, value: float, *labels: str) -> None:
        """Add to the number."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0.0) + value

    def lines(self) -> list[str]:
        """Its text."""
        with self._lock:
            values = sorted(self._values.items())
        rows = [f"{self._name}{_braces(self._labels, labels)} {value:g}" for labels, value in values]
        return [f"# HELP {self._name} {self._help}", f"# TYPE {self._name} counter", *rows]


class Histogram:
    """How many values are below each of some bounds."""

    def __init__(self, name: str, help_: str, bounds: Sequence[float]) -> None:
        self._name, self._help, self._bounds = name, help_, bounds
        self._lock = threading.Lock()
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._sum += value

    def lines(self) -> list[str]:
        """Its text."""
        with self._lock:
            counts, total = list(accumulate(self._counts)), self._sum
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        rows = [f'{self._name}_bucket{{le="{b}"}} {count}' for b, count in zip(bounds, counts, strict=True)]
        return [
            f"# HELP {self._name} {self._help}",
            f"# TYPE {self._name} histogram",
            *rows,
            f"{self._name}_sum {total:g}",
            f"{self._name}_count {counts[-1]}",
        ]


class Metrics:
    """What the server counts.

    Args:
        waiting: Gives the number of requests and of pairs that wait or run.
        score_cache: The cache of scores, whose hits are counted; None if there is none.
    """

    def __init__(self, waiting: Callable[[], tuple[int, int]], score_cache: ScoreCache | None = None) -> None:
        self._waiting, self._score_cache = waiting, score_cache
        self.requests = Counter(
            "crossrank_requests_total", "Requests by API and HTTP status.", ("api", "status")
        )
        self.documents = Counter("crossrank_documents_total", "Documents that were scored.")
        self._documents = Histogram("crossrank_request_documents", "Documents of a request.", _DOCUMENTS)
        self._total = Histogram(
            "crossrank_request_seconds", "From the whole request to its answer.", _SECONDS
        )
        self._tokenisation = Histogram("crossrank_tokenization_seconds", "Tokenising a request.", _SECONDS)
        self._queue = Histogram("crossrank_queue_seconds", "From a request to its first batch.", _SECONDS)
        self._inference = Histogram(
            "crossrank_inference_seconds", "From a request's first batch to the end of its last.", _SECONDS
        )
        self._model = Histogram(
            "crossrank_model_seconds", "The model's time for what is run at once.", _SECONDS
        )
        self._tokens = Histogram("crossrank_batch_tokens", "Tokens that are run at once.", _TOKENS)
        self._padding = Histogram(
            "crossrank_batch_padding_share", "Share of padding in what is run at once.", _SHARES
        )

    def observe_step(self, step: Step) -> None:
        """Count what was computed at once."""
        self._model.observe(step.seconds)
        self._tokens.observe(step.tokens)
        self._padding.observe(step.padding / max(1, step.tokens + step.padding))

    def observe_request(self, scored: Scored, seconds: float) -> None:
        """Count a request that was answered."""
        self.documents.add(len(scored.logits))
        self._documents.observe(len(scored.logits))
        self._total.observe(seconds)
        self._tokenisation.observe(scored.tokenisation)
        self._queue.observe(scored.waiting)
        self._inference.observe(scored.inference)

    def text(self) -> str:
        """All of it in Prometheus' format."""
        requests, pairs = self._waiting()
        lines = [
            "# HELP crossrank_waiting_requests Requests that wait or run.",
            "# TYPE crossrank_waiting_requests gauge",
            f"crossrank_waiting_requests {requests}",
            "# HELP crossrank_waiting_pairs Pairs that wait or run.",
            "# TYPE crossrank_waiting_pairs gauge",
            f"crossrank_waiting_pairs {pairs}",
        ]
        if (cache := self._score_cache) is not None:
            lines += [
                "# HELP crossrank_score_cache_total Scores that were looked up in the score cache.",
                "# TYPE crossrank_score_cache_total counter",
                f'crossrank_score_cache_total{{found="yes"}} {cache.hits}',
                f'crossrank_score_cache_total{{found="no"}} {cache.misses}',
            ]
        for metric in (self.requests, self.documents, self._documents, self._total, self._tokenisation,
                       self._queue, self._inference, self._model, self._tokens, self._padding):  # fmt: skip
            lines += metric.lines()
        return "\n".join([*lines, ""])


def _braces(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""
