"""On Ray Serve the scores are the same; overload, killed replicas and other models fail no request."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import sys
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from support.commands import crossrank, one_line
from support.front import call
from support.serving import Served, serving
from support.tiny_models import write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

# Ray warns of its own deprecated settings. Its processes take minutes to start on a busy machine.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

QUERY, TEXTS = "who bakes bread", ["the baker bakes bread", "the tide", "bread is sold"]
MOST = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=200_000_000)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def _serving(cluster: str, model: str, *more: str, port: str = "0") -> AbstractContextManager[Served]:
    command = [
        sys.executable, "-m", "crossrank", "serve", model, "--port", port, "--ray", cluster,
        "--replicas", "1", "--max-requests", str(MOST), "--max-documents", "2000", "--max-body", "1000000",
        *more,
    ]  # fmt: skip
    return serving(command=command, until="listening on")


@pytest.fixture(scope="module")
def served(cluster: str, tiny_folder: str) -> Iterator[Served]:
    with _serving(cluster, tiny_folder) as running:
        yield running


def _ask(url: str, path: str, **body: Any) -> tuple[int, Any]:
    status, answer, _ = call(f"{url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    return status, json.loads(answer)


def _scores(url: str) -> tuple[int, list[float]]:
    status, answer = _ask(url, "/v2/rerank", query=QUERY, documents=TEXTS)
    rows = sorted(answer.get("results", []), key=lambda row: row["index"])
    return status, [row["relevance_score"] for row in rows]


def _expected(model: CrossEncoder) -> Any:
    pairs = [(QUERY, text) for text in TEXTS]
    return pytest.approx(list(model.predict(pairs, activation_fn="sigmoid")), rel=1e-6)


def _replicas() -> list[int]:
    """The processes of replicas."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::ServeReplica:crossrank"):
            found.append(int(process.name))
    return found


def test_the_scores_are_those_of_one_process(served: Served, tiny: CrossEncoder) -> None:
    assert _scores(served.url) == (200, _expected(tiny))
    status, rows = _ask(served.url, "/rerank", query=QUERY, texts=TEXTS)  # TEI's
    assert status == 200
    assert [row["score"] for row in sorted(rows, key=lambda row: row["index"])] == _expected(tiny)
    assert call(f"{served.url}/readyz")[0] == 200


def test_a_request_that_is_too_large_is_told_so(served: Served) -> None:
    status, answer = _ask(served.url, "/v2/rerank", query=QUERY, documents=["bread"] * 2001)
    assert status == 413
    assert "this server takes 2,000" in answer["message"]
    status, answer = _ask(served.url, "/v2/rerank", query=QUERY, documents=["bread " * 200_000])
    assert status == 413
    assert "1,000,000" in answer["message"]


def test_overload_is_429_with_the_time_to_come_again(served: Served) -> None:
    long = {"query": QUERY, "documents": ["the baker bakes bread " * 40] * 40}
    with concurrent.futures.ThreadPoolExecutor(40) as clients:
        answers = list(clients.map(lambda _: _ask(served.url, "/v2/rerank", **long), range(80)))
    statuses = {status for status, _ in answers}
    assert statuses == {200, 429}
    assert all("busy" in answer["message"] for status, answer in answers if status == 429)


def test_a_replica_that_is_killed_under_load_comes_back_and_clients_get_their_answers(
    served: Served, tiny: CrossEncoder
) -> None:
    [replica] = _replicas()
    answered, killed = threading.Event(), threading.Event()

    def ask(_: int) -> list[int]:
        """Until the new replica has given three answers."""
        found: list[int] = []
        end, left = time.monotonic() + 300, 3
        while left and time.monotonic() < end:
            gone = killed.is_set() and replica not in _replicas()
            status, scores = _scores(served.url)
            found.append(status)
            if status == 200:
                assert scores == _expected(tiny)
                left -= gone
                answered.set()
            else:
                assert status in (429, 500, 503)
                time.sleep(0.2)
        return found

    with concurrent.futures.ThreadPoolExecutor(3) as clients:
        answers = [clients.submit(ask, number) for number in range(3)]
        assert answered.wait(60)
        os.kill(replica, signal.SIGKILL)
        killed.set()
        for answer in answers:
            assert answer.result().count(200) >= 3


def test_another_model_takes_over_without_a_failed_request(
    served: Served, cluster: str, tiny: CrossEncoder, tmp_path: Path
) -> None:
    other = CrossEncoder(write_reranker(tmp_path / "other", "roberta"))
    answers: list[tuple[int, list[float]]] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answers.append(_scores(served.url))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        port = served.url.rpartition(":")[2]
        with _serving(cluster, str(other.path), port=port) as second:
            served.wait_for("has taken over")
            assert served.process.wait(60) == 0
            ended.set()
            asking.join()
            assert answers
            assert all(status == 200 for status, _ in answers)
            assert all(scores in (_expected(tiny), _expected(other)) for _, scores in answers)
            assert _scores(second.url) == (200, _expected(other))
            _stop_with_a_request(second)
    finally:
        ended.set()
    assert _replicas() == []
    with pytest.raises(urllib.error.URLError):
        call(second.url)


def _stop_with_a_request(served: Served) -> None:
    """SIGTERM while a request is answered."""
    documents = [f"the baker bakes bread {number} " * 10 for number in range(2000)]
    with concurrent.futures.ThreadPoolExecutor(1) as client:
        answer = client.submit(_ask, served.url, "/v2/rerank", query=QUERY, documents=documents)
        time.sleep(0.3)
        assert served.stop(60) == 0
        status, found = answer.result()
    assert status == 200
    assert len(found["results"]) == 2000


def test_few_long_requests_start_a_second_replica(cluster: str) -> None:
    few = 6
    # The bundled model: a tiny one would be done with them at once on a fast machine, and need no replica.
    documents = [f"the baker bakes bread {number} " * 12 for number in range(500)]
    options = ["--max-replicas", "2", "--max-requests", "16"]
    ended = threading.Event()

    def ask(url: str) -> set[int]:
        statuses = set()
        while not ended.is_set():
            statuses.add(_ask(url, "/v2/rerank", query=QUERY, documents=documents)[0])
        return statuses

    with (
        _serving(cluster, DEFAULT_CROSS_ENCODER, *options) as running,
        concurrent.futures.ThreadPoolExecutor(few) as clients,
    ):
        assert len(_replicas()) == 1
        asked = [clients.submit(ask, running.url) for _ in range(few)]
        try:
            end = time.monotonic() + 300
            while len(_replicas()) < 2:
                assert time.monotonic() < end
                time.sleep(0.2)
        finally:
            ended.set()
        assert all(each.result() == {200} for each in asked)


def test_what_cannot_be_is_refused(cluster: str) -> None:
    refused = crossrank("serve", "--ray", cluster, "--replicas", "3")
    assert refused.returncode == 2
    assert "3 workers need a processor each, and the cluster has 2" in one_line(refused)
    refused = crossrank("serve", "--ray", cluster, "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "key" in one_line(refused)
    refused = crossrank("serve", "/no/such/model", "--ray", cluster)
    assert "/no/such/model" in one_line(refused)
    refused = crossrank("serve", "--replicas", "3")
    assert "are for Ray" in one_line(refused)
