"""The load benchmark measures what it says: answers with the engine's scores, refusals, and wrong answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from benchmarks.load.__main__ import check, row
from benchmarks.load.engine import Engine
from benchmarks.load.measuring import Bench
from benchmarks.load.requests import make_requests
from support.serving import serving

from crossrank.inference.cross_encoder import CrossEncoder

REQUESTS = make_requests(70, 3)


@pytest.fixture(scope="module")
def bench(tiny: CrossEncoder) -> Bench:
    return Bench(Engine(tiny.name, REQUESTS), REQUESTS, seconds=0.3, rounds=1)


@pytest.fixture(scope="module")
def url(tiny: CrossEncoder) -> Iterator[str]:
    with serving(tiny.name, "--max-requests", "3") as running:
        yield f"{running.url}/rerank"


def test_no_pair_occurs_twice() -> None:
    pairs = [pair for request in REQUESTS for pair in request.pairs]
    assert len(set(pairs)) == len(pairs) == 210
    assert make_requests(70, 3) == REQUESTS


@pytest.mark.parametrize("clients", [1, 3])
def test_answers_have_the_scores_of_the_engine(clients: int, bench: Bench, url: str) -> None:
    measured = bench.clients(url, clients)
    assert len(measured.sent) >= clients
    assert measured.refused == measured.failed == 0
    assert measured.different(bench.engine) == 0
    check(bench, measured, own=True)
    assert row("3", measured).startswith("| 3 | ")
    number, seconds, status, scores = measured.sent[0]
    assert scores is not None
    measured.sent[0] = (number, seconds, status, scores[::-1])
    with pytest.raises(SystemExit, match="1 answers have other scores"):
        check(bench, measured, own=True)


def test_what_is_refused_and_what_fails_is_counted(bench: Bench, url: str) -> None:
    measured = bench.overload(url, 2000)
    assert measured.refused > 0
    assert measured.failed == 0
    assert measured.different(bench.engine) == 0
    measured.sent.append((0, 0.1, 500, None))
    with pytest.raises(SystemExit, match="1 requests were neither answered nor refused"):
        check(bench, measured, own=True)
