"""The server in use: keys, limits, several models, foreign pages, metrics, settings."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.commands import crossrank, one_line
from support.front import call
from support.serving import Served, serving
from support.tiny_models import write_reranker

KEY, SECOND_KEY = "correct-horse-battery", "another-staple"
ASK = {"query": "who bakes bread", "documents": ["the baker bakes bread", "the tide"]}
LONG = {"query": "who bakes bread", "documents": [f"the baker bakes bread {n} " * 20 for n in range(5000)]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("models") / "reranker")


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With keys, two models, and small limits."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"# of the second team\n{SECOND_KEY}\n")
    other = write_reranker(model.parent / "other", "roberta")
    with serving(
        str(model), "--model", str(other), "--key-file", str(keys), "--max-documents", "5000",
        "--max-tokens", "100000", "--strict-model-names",
        environment={"CROSSRANK_API_KEY": f" {KEY} ,"}, until="other is loaded",
    ) as running:  # fmt: skip
        yield running


def ask(served: Served, path: str = "/v2/rerank", body: Any = ASK, **headers: str) -> tuple[int, Any, Any]:
    """Status, JSON of the answer, and its headers."""
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **named})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if content else None, answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"}, {"Authorization": f"bearer  {KEY}"}, {"Authorization": KEY},
        {"Api_Key": KEY}, {"X_Api_Key": KEY}, {"Authorization": f"Bearer {SECOND_KEY}"},
        {"Authorization": "", "api_key": KEY},
    ],
)  # fmt: skip
def test_a_key_is_read_where_clients_send_it(headers: dict[str, str], served: Served) -> None:
    assert ask(served, **headers)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong-horse"},
     {"X_Api_Key": KEY[:-1]}, {"Authorization": f"Basic {KEY}"}],
)  # fmt: skip
def test_without_a_key_nothing_is_answered_but_the_probes(headers: dict[str, str], served: Served) -> None:
    status, body, given = ask(served, **headers)
    assert status == 401
    assert body["message"] == "the key is missing or wrong; send it as 'Authorization: Bearer KEY'"
    assert given["WWW-Authenticate"] == "Bearer"
    for path in ("/v1/models", "/metrics", "/info", "/openapi.json"):
        assert call(f"{served.url}{path}")[0] == 401
    assert ask(served, "/", **headers)[0] == 401
    open_to_all = {"/livez": 200, "/readyz": 200, "/.well-known/ready": 204, "/ping": 200, "/": 200}
    for path, expected in open_to_all.items():
        assert call(f"{served.url}{path}")[0] == expected


def test_a_request_is_answered_by_the_model_that_it_names(served: Served) -> None:
    models = {}
    for name in ("reranker", "other", "someone/other"):
        status, body, _ = ask(served, body={**ASK, "model": name}, X_Api_Key=KEY)
        assert status == 200
        models[name] = (body["model"], body["results"][0]["relevance_score"])
    assert models["reranker"][0] == "reranker"
    assert models["other"][0] == "other"
    assert models["other"] == models["someone/other"] != models["reranker"]
    assert ask(served, X_Api_Key=KEY)[1]["model"] == "reranker"
    status, body, _ = ask(served, body={**ASK, "model": "rerank-v3.5"}, X_Api_Key=KEY)
    assert status == 404
    assert body["message"] == "there is no model 'rerank-v3.5' here; this server has reranker, other"


def test_what_is_too_large_is_refused_with_its_limit(served: Served) -> None:
    status, body, _ = ask(served, body={"query": "q", "documents": ["a"] * 5001}, X_Api_Key=KEY)
    assert status == 413
    assert "5,001 documents; this server takes 5,000" in body["message"]
    status, body, _ = ask(served, body=LONG, X_Api_Key=KEY)
    assert status == 413
    assert "more than 100,000 tokens" in body["message"]
    # SageMaker sets these limits itself.
    assert ask(served, "/invocations", {"pairs": [["q", "a"]] * 5001}, X_Api_Key=KEY)[0] == 200


def test_an_answer_says_how_long_each_part_took(served: Served) -> None:
    headers = ask(served, X_Api_Key=KEY)[2]
    for name in ("x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"):
        assert headers[name].isdecimal()
    assert headers["x-compute-characters"] == str(len("".join([ASK["query"], *ASK["documents"]])))  # type: ignore[arg-type]
    assert int(headers["x-compute-tokens"]) > 0


def test_requests_and_batches_are_counted_for_prometheus(served: Served) -> None:
    def counted() -> dict[str, float]:
        text = call(f"{served.url}/metrics", headers={"X-Api-Key": KEY})[1].decode()
        assert all(re.fullmatch(r"# (HELP|TYPE) \S+ .+|\S+(\{.*\})? \S+", line) for line in text.splitlines())
        rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    before = counted()
    ask(served, X_Api_Key=KEY)
    ask(served, body={"query": "q"}, X_Api_Key=KEY)
    after = counted()

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('crossrank_requests_total{api="Cohere v2",status="200"}') == 1
    assert more('crossrank_requests_total{api="Cohere v2",status="400"}') == 1
    assert more("crossrank_documents_total") == 2
    for name in ("request_seconds", "queue_seconds", "tokenization_seconds", "inference_seconds"):
        assert more(f"crossrank_{name}_count") == 1
    for name in ("batch_tokens", "batch_padding_share", "model_seconds"):
        assert more(f"crossrank_{name}_count") >= 1
    assert after["crossrank_waiting_requests"] == 0


def test_documents_are_not_in_the_log(served: Served) -> None:
    ask(served, body={"query": "hush-hush", "documents": [{"title": "hush-hush"}]}, X_Api_Key=KEY)
    ask(served, "/invocations", {"pairs": [["hush-hush"]]}, X_Api_Key=KEY)
    served.wait_for("/invocations was answered with 400")
    assert not any("hush" in line for line in served.lines)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost"}, 200), ({"Host": "127.0.0.1:1"}, 200), ({"Host": "[::1]:8080"}, 200),
        ({"Host": "attacker.example"}, 403), ({"Host": ""}, 403),
        ({"Host": "127.0.0.1.attacker.example"}, 403),
        ({"Host": "localhost:8080", "Origin": "http://localhost:8080"}, 200),
        ({"Host": "localhost", "Origin": "https://attacker.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost:8080", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "proxy.example"}, 200), ({"Host": "localhost", "Origin": "https://page.example"}, 200),
    ],
)  # fmt: skip
def test_foreign_pages_in_a_browser_are_refused(
    headers: dict[str, str], status: int, guarded: Served
) -> None:
    given, body, _ = ask(guarded, **headers)
    assert given == status
    if status == 403:
        assert "--allow-" in body["message"]


@pytest.fixture(scope="module")
def guarded(model: Path) -> Iterator[Served]:
    allowed = {"CROSSRANK_ALLOW_HOST": "proxy.example", "CROSSRANK_ALLOW_ORIGIN": "https://page.example"}
    with serving(str(model), "--unload-after", "1", environment=allowed) as running:
        yield running


def test_a_model_that_nobody_uses_is_unloaded_and_loaded_again_when_asked(guarded: Served) -> None:
    guarded.wait_for("is unloaded, after")
    assert guarded.ping() == 200
    assert ask(guarded)[0] == 200


def test_beyond_this_machine_a_key_is_needed_or_a_flag(model: Path) -> None:
    process = crossrank("serve", model, "--host", "0.0.0.0", "--port", "0")
    assert process.returncode == 2
    said = one_line(process)
    assert "without a key; set CROSSRANK_API_KEY or --key-file, or allow it with --without-key" in said
    with serving(str(model), "--host", "0.0.0.0", "--without-key") as open_to_all:
        assert ask(open_to_all, Host="any.example")[0] == 200


@pytest.mark.parametrize(("keys", "expected"), [("", "has no key"), ("short", "at least 8 characters")])
def test_a_key_file_that_is_no_use_is_one_sentence(keys: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"# keys\n{keys}\n")
    process = crossrank("serve", "--key-file", tmp_path / "keys")
    assert process.returncode == 2
    assert expected in one_line(process)


def test_settings_are_shown_without_their_keys() -> None:
    process = crossrank("serve", "a/model", "--api-key", f"{KEY},{SECOND_KEY}", "--show-settings")
    assert process.returncode == 0
    shown = process.stdout
    assert KEY not in shown
    settings = json.loads(shown)
    assert settings["keys"] == "2 hidden"
    assert settings["models"] == ["a/model"]
    assert settings["max_documents"] == 10_000


def test_overload_is_429_with_retry_after_and_what_is_accepted_is_answered(model: Path) -> None:
    with serving(str(model), "--max-requests", "4") as small:
        body = {"query": "who bakes bread", "documents": [f"bread {n} " * 30 for n in range(400)]}
        with concurrent.futures.ThreadPoolExecutor(40) as clients:
            answers = list(clients.map(lambda n: ask(small, body={**body, "query": f"q {n}"}), range(40)))
        statuses = {status for status, _, _ in answers}
        assert statuses == {200, 429}
        for status, given, headers in answers:
            if status == 429:
                assert int(headers["Retry-After"]) >= 1
                assert "try again later" in given["message"]
            else:
                assert len(given["results"]) == 400
        assert ask(small)[0] == 200


def test_a_request_that_is_not_answered_in_time_is_given_up(model: Path) -> None:
    with serving(str(model), "--timeout", "0.2", "--max-documents", "1000000") as hasty:
        texts = [f"how do bees find flowers in the city at night {number} " * 6 for number in range(50_000)]
        status, body, headers = ask(hasty, body={"query": "who bakes bread", "documents": texts})
        assert status == 429
        assert re.search(
            r"no answer within 0.2 seconds \([\d,]+ of 50,000 documents were scored\)", body["message"]
        )
        assert headers["Retry-After"] == "1"
        # On a busy machine, even a small request may take longer than that; the queue is free all the same.
        end = time.monotonic() + 30
        while ask(hasty)[0] != 200:
            assert time.monotonic() < end


def test_the_event_loop_answers_while_a_large_request_is_computed(model: Path) -> None:
    with serving(str(model)) as running, concurrent.futures.ThreadPoolExecutor(1) as other:
        large = other.submit(
            ask, running, "/invocations", {"pairs": [["q", f"tide {n}"] for n in range(100_000)]}
        )
        pings = 0
        while not large.done():
            assert running.ping() == 200
            assert ask(running)[0] == 200
            pings += 1
        assert large.result()[0] == 200
        assert pings > 3


def test_compressed_bodies_are_refused(served: Served) -> None:
    status, body, _ = ask(served, Content_Encoding="gzip", X_Api_Key=KEY)
    assert status == 415
    assert "without Content-Encoding" in body["message"]
