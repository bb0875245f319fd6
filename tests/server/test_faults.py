"""What goes wrong between clients and the server, and what it answers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gzip
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
import pytest
from fastapi.testclient import TestClient
from support.front import call
from support.serving import Served, serving
from support.tiny_models import write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.server import body
from crossrank.server.app import create_app
from crossrank.server.metrics import Metrics
from crossrank.server.models import Models, ServedModel
from crossrank.server.request import RequestError

JSON = {"Content-Type": "application/json"}
QUERY = "who bakes bread"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("models") / "reranker")


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    with serving(str(model)) as running:
        yield running


def rerank(served: Served, content: bytes | dict[str, Any]) -> tuple[int, Any]:
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    status, answer, _ = call(f"{served.url}/v2/rerank", content, JSON)
    return status, json.loads(answer)


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 400, "the body is not JSON"),
        (b'{"query": "who", "documents": ["a"', 400, "the body is not JSON"),
        ('{"query": "Käse", "documents": ["a"]}'.encode("latin-1"), 400, "the body is not valid utf-8"),
        (b'{"query": "q", "documents": ["\\ud800"]}', 400, "lone surrogates"),
        (b'{"query": "\\udfff", "documents": ["a"]}', 400, "lone surrogates"),
        (b'{"query": "q", "documents": ' + b"[" * 200_000, 400, "nested too deeply"),
        (b'{"query": "q", "top_n": 1' + b"0" * 5000 + b', "documents": ["a"]}', 400, "the body is not JSON"),
        (b'{"query": "q", "documents": [' + b'"a",' * 100_000 + b'"a"]}', 413, "takes 10,000"),
    ],
    ids=["empty", "half", "latin-1", "surrogate", "surrogate in query", "deep", "long number", "many"],
)  # fmt: skip
def test_a_body_that_cannot_be_used_is_refused_in_one_sentence(
    content: bytes, status: int, message: str, served: Served
) -> None:
    given, answer = rerank(served, content)
    assert given == status
    assert message in answer["message"]
    assert "Traceback" not in answer["message"]


def test_other_unicode_encodings_and_odd_texts_are_answered(served: Served, tiny: CrossEncoder) -> None:
    texts = ["\x00", "‮bread", "🎉" * 100, "e\u0301", "\ufeff", "</script>"]
    for encoding in ("utf-8", "utf-16", "utf-32"):
        body_ = json.dumps({"query": QUERY, "documents": texts}, ensure_ascii=False).encode(encoding)
        status, answer = rerank(served, body_)
        assert status == 200
        given = [row["relevance_score"] for row in sorted(answer["results"], key=lambda row: row["index"])]
        expected = tiny.predict([(QUERY, text) for text in texts], activation_fn="sigmoid")
        np.testing.assert_allclose(given, expected, rtol=1e-6)


def test_a_document_of_fifty_megabytes_is_truncated_and_holds_nobody_up(served: Served) -> None:
    text = "the tide at the harbour " * 2_000_000
    large = {"query": QUERY, "documents": [text]}
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        waiting = other.submit(rerank, served, large)
        assert call(f"{served.url}/livez")[0] == 200
        assert rerank(served, {"query": QUERY, "documents": ["bread"]})[0] == 200
        status, answer = waiting.result()
    assert status == 200
    assert "document 0" in answer["meta"]["warnings"][0]
    short = rerank(served, {"query": QUERY, "documents": [text[:1000]]})[1]
    assert answer["results"] == short["results"]
    status, answer = rerank(served, {"query": text, "documents": ["bread"]})
    assert status == 200


def test_a_client_that_sends_byte_by_byte_gets_its_answer_and_holds_nobody_up(served: Served) -> None:
    address = urlsplit(served.url)
    content = json.dumps({"query": QUERY, "documents": ["bread"]}).encode()
    head = f"POST /v2/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with socket.create_connection((cast(str, address.hostname), address.port), timeout=60) as slow:
        for byte in head + content[:-1]:
            slow.sendall(bytes([byte]))
        status, expected = rerank(served, content)
        assert status == 200
        slow.sendall(content[-1:])
        answer = b""
        while b"}" not in answer or not answer.endswith(b"}"):
            answer += slow.recv(65536)
    given = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert given["results"] == expected["results"]


def test_a_gzip_bomb_is_refused_without_being_opened(served: Served) -> None:
    bomb = gzip.compress(b'{"query": "' + b"a" * 200_000_000, 1)
    status, answer, _ = call(f"{served.url}/v2/rerank", bomb, {**JSON, "Content-Encoding": "gzip"})
    assert status == 415
    assert "without Content-Encoding" in json.loads(answer)["message"]
    # Without the header, it is no JSON.
    assert rerank(served, bomb)[0] == 400


def test_a_model_that_starts_to_give_nan_fails_what_it_scored_and_not_the_server(
    tiny: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy(tiny)
    served = ServedModel(lambda: model)
    served.load()
    models = Models({"tiny": served})
    client = TestClient(create_app(models, metrics=Metrics(lambda: models.waiting)))
    content = {"query": QUERY, "documents": ["bread"]}
    expected = client.post("/v2/rerank", json=content).json()["results"]
    with monkeypatch.context() as broken:
        broken.setattr(model, "logits_of", lambda inputs: np.full(len(inputs), np.nan, np.float32))
        answer = client.post("/v2/rerank", json=content)
        assert answer.status_code == 500
        assert "gave a score that is not a number" in answer.json()["message"]
        assert client.get("/readyz").status_code == 200
    assert client.post("/v2/rerank", json=content).json()["results"] == expected
    models.close()


def test_a_body_that_stops_coming_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_SECONDS_WITHOUT_A_BYTE", 0.05)

    async def stream() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    request: Any = SimpleNamespace(headers={}, stream=stream)
    with pytest.raises(RequestError, match=r"nothing more of the body came within 0.05 seconds") as caught:
        asyncio.run(body.read_body(request, 100))
    assert caught.value.status == 408


def test_the_bodies_that_are_held_at_a_time_are_bounded() -> None:
    memory = body.BodyMemory(100, 250)

    def of(**headers: str) -> Any:
        return memory.of(cast(Any, SimpleNamespace(headers=headers)))

    with of(**{"content-length": "100"}), of():
        with pytest.raises(RequestError, match="busy with large requests") as caught, of():
            pass
        assert caught.value.status == 429
        with of(**{"content-length": "50"}):
            pass
    with of(**{"content-length": "9999"}):
        pass


def test_clients_that_vanish_leave_nothing_behind(served: Served) -> None:
    address = urlsplit(served.url)
    content = json.dumps({"query": QUERY, "documents": [f"bread {n} " * 50 for n in range(2000)]}).encode()
    head = f"POST /v2/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    for sent in (head[:20], head, head + content[:100], head + content, head + content):
        with socket.create_connection((cast(str, address.hostname), address.port)) as connection:
            connection.sendall(sent)
            time.sleep(0.05)
    end = time.monotonic() + 30
    while b"crossrank_waiting_requests 0" not in call(f"{served.url}/metrics")[1]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert rerank(served, {"query": QUERY, "documents": ["bread"]})[0] == 200


def test_on_sigterm_under_load_every_accepted_request_is_answered(model: Path) -> None:
    with serving(str(model)) as running, concurrent.futures.ThreadPoolExecutor(16) as clients:
        documents = [f"the tide at {n} " * 20 for n in range(1500)]
        asked = [
            clients.submit(rerank, running, {"query": f"{QUERY} {n}", "documents": documents})
            for n in range(16)
        ]
        while b"crossrank_waiting_requests 16" not in call(f"{running.url}/metrics")[1]:
            assert not any(one.done() for one in asked), "the signal comes while all are in the queue"
            time.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)
        for one in asked:
            status, answer = one.result()
            assert status == 200
            assert len(answer["results"]) == 1500
        assert running.process.wait(30) == 0


def test_after_a_kill_it_starts_again_at_the_same_port(model: Path) -> None:
    with serving(str(model)) as first:
        port = first.url.rpartition(":")[2]
        content = {"query": QUERY, "documents": ["bread"]}
        expected = rerank(first, content)[1]["results"]
        first.process.kill()
        first.process.wait()
        command = [sys.executable, "-m", "crossrank", "serve", str(model), "--port", port]
        with serving(command=command) as second:
            assert second.url == first.url
            assert rerank(second, content)[1]["results"] == expected
