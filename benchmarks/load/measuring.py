"""A server next to the engine, in turns, so that what else the machine does meets both."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from benchmarks.load.engine import Engine
from benchmarks.load.generator import scores_of
from benchmarks.load.requests import Request

Sent = tuple[int, float, int, list[float] | None]
"""The number of a request, its seconds, the status of its answer, and its scores."""


@dataclass
class Measured:
    """What clients saw.

    Attributes:
        sent: All requests of all rounds.
        speeds: Pairs per second, of each round.
        ratios: The same as a share of the engine's, of each round.
        generator: How much of a processor the load generator took, of each round.
        added: For one client, how many milliseconds a request takes longer than without a server; median.
    """

    sent: list[Sent] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    generator: list[float] = field(default_factory=list)
    added: float | None = None

    @property
    def refused(self) -> int:
        """Requests that were answered with 429."""
        return sum(status == 429 for _, _, status, _ in self.sent)

    @property
    def failed(self) -> int:
        """Requests with any other answer than 200 and 429, or with none."""
        return sum(status not in {200, 429} for _, _, status, _ in self.sent)

    def percentiles(self) -> list[float]:
        """The 50th, 95th and 99th of the answers, in milliseconds."""
        answered = [1000 * seconds for _, seconds, status, _ in self.sent if status == 200]
        return [float(value) for value in np.percentile(answered, (50, 95, 99))]

    def different(self, engine: Engine) -> int:
        """How many answers have other scores than the engine, bit for bit."""
        answered = [(number, scores) for number, _, status, scores in self.sent if status == 200]
        expected = engine.scores(number for number, _ in answered)
        return sum(scores != expected[number] for number, scores in answered)


@dataclass
class Bench:
    """The engine and the requests.

    Attributes:
        engine: The engine without a server.
        requests: The requests.
        seconds: How long clients send requests, in each round.
        rounds: The number of rounds.
    """

    engine: Engine
    requests: Sequence[Request]
    seconds: float
    rounds: int
    _start: int = 0

    def one_client(self, url: str) -> Measured:
        """Each request by the engine alone, and then from the server."""
        measured = Measured()
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        alone: list[float] = []
        end = time.perf_counter() + 2 * self.seconds * self.rounds
        for number, request in enumerate(self.requests):
            alone.append(self.engine.seconds_of(number))
            body = request.body()
            began = time.perf_counter()
            connection.request("POST", address.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            seconds = time.perf_counter() - began
            measured.sent.append((number, seconds, answer.status, scores_of(content)))
            if time.perf_counter() > end:
                break
        connection.close()
        served = [seconds for _, seconds, _, _ in measured.sent]
        measured.speeds = [len(self.requests[0].passages) * len(served) / sum(served)]
        measured.ratios = [sum(alone) / sum(served)]
        measured.added = 1000 * statistics.median(a - b for a, b in zip(served, alone, strict=True))
        return measured

    def clients(self, url: str, clients: int) -> Measured:
        """So many clients, each with one request at a time."""
        return self.one_client(url) if clients == 1 else self._load(url, self.rounds, "--clients", clients)

    def overload(self, url: str, requests_per_second: float) -> Measured:
        """Requests at a rate that the server cannot answer."""
        return self._load(url, 1, "--rate", requests_per_second)

    def warm_up(self, url: str) -> None:
        """Let the server prepare what it prepares for its first requests."""
        self._generate(url, 2.0, "--clients", 16)

    def _load(self, url: str, rounds: int, *how: object) -> Measured:
        measured = Measured()
        passages = len(self.requests[0].passages)
        for _ in range(rounds):
            engine = [self.engine.pairs_per_second()]
            result = self._generate(url, self.seconds, *how)
            engine.append(self.engine.pairs_per_second())
            sent = [tuple(one) for one in result["sent"]]
            answered = sum(status == 200 for _, _, status, _ in sent)
            measured.sent += sent
            measured.speeds.append(passages * answered / result["seconds"])
            measured.ratios.append(measured.speeds[-1] / statistics.mean(engine))
            measured.generator.append(result["processor_seconds"] / result["seconds"])
        return measured

    def _generate(self, url: str, seconds: float, *how: object) -> dict[str, Any]:
        count, passages = len(self.requests), len(self.requests[0].passages)
        command = [sys.executable, "-m", "benchmarks.load.generator", url, *how, "--seconds", seconds]
        command += ["--requests", count, "--passages", passages, "--start", self._start % count]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True)
        result: dict[str, Any] = json.loads(done.stdout)
        self._start += len(result["sent"])
        return result
