"""The server as SageMaker meets it: a process, HTTP, signals."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.front import call
from support.serving import Served, serving
from support.tiny_models import PAIRS, save, write_reranker

from crossrank.inference.cross_encoder import CrossEncoder

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("models") / "reranker")


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    with serving(str(model)) as running:
        yield running


def invoke(served: Served, body: object, **headers: str) -> tuple[int, bytes, str | None]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return call(f"{served.url}/invocations", content, {**JSON, **headers})


def test_a_loaded_model_is_healthy_and_scores_as_it_does_locally(served: Served, tiny: CrossEncoder) -> None:
    assert served.ping() == 200
    status, answer, content_type = invoke(served, {"text_pairs": PAIRS}, Accept="*/*")
    assert (status, content_type) == (200, "application/json")
    np.testing.assert_allclose(json.loads(answer)["scores"], tiny.logits(PAIRS)[0], rtol=0, atol=1e-5)


def test_it_listens_on_this_machine_alone(served: Served) -> None:
    assert served.url.startswith("http://127.0.0.1:")


def test_lines_are_answered_with_lines(served: Served) -> None:
    body = b'{"pairs": [["a", "b"]]}\n{"query": "a", "documents": ["b"], "top_n": 1}\n'
    status, answer, content_type = invoke(served, body, **{"Content-Type": "application/jsonlines"})
    first, second = (json.loads(line) for line in answer.splitlines())
    assert (status, content_type) == (200, "application/jsonlines")
    assert first["scores"] == second["scores"] == [second["results"][0]["score"]]


@pytest.mark.parametrize(
    ("body", "headers", "status", "expected"),
    [
        (b"not json", {}, 400, "the body is not JSON"),
        (b'{"pairs": [["a"]]}', {}, 400, "pairs[0] must be two strings"),
        (b'{"pairs": [["a", "\\ud800"]]}', {}, 400, "Unicode"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "send application/json"),
        (b'{"pairs": []}', {"Accept": "image/png"}, 406, "accept application/json"),
    ],
)
def test_what_is_wrong_is_said_in_json(
    body: bytes, headers: dict[str, str], status: int, expected: str, served: Served
) -> None:
    given, answer, content_type = invoke(served, body, **headers)
    assert (given, content_type) == (status, "application/json")
    assert expected in json.loads(answer)["error"]


def peak_memory(served: Served) -> int:
    """The most memory that the process has held, in bytes."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def test_a_hundred_thousand_pairs_need_little_more_memory_than_their_text(served: Served) -> None:
    texts = [f"tide {number} to the harbour" for number in range(100_000)]
    invoke(served, {"pairs": [["when is the tide", text] for text in texts[:5000]]})
    before = peak_memory(served)
    body = json.dumps({"pairs": [["when is the tide", text] for text in texts]}).encode()
    status, answer, _ = invoke(served, body)
    assert status == 200
    scores = json.loads(answer)["scores"]
    assert len(scores) == 100_000
    alone = json.loads(invoke(served, {"pairs": [["when is the tide", texts[77_777]]]})[1])["scores"]
    assert scores[77_777] == alone[0]
    assert peak_memory(served) - before < 150e6


def test_ten_megabytes_are_answered_and_more_than_the_limit_is_refused_in_words(
    model: Path, served: Served
) -> None:
    body = json.dumps({"pairs": [["when is the tide", "harbour " * 125_000]] * 10}).encode()
    assert len(body) > 10_000_000
    assert invoke(served, body)[0] == 200
    with serving(str(model), "--max-body", "1000000") as small:
        status, answer, _ = invoke(small, body)
        assert status == 413
        assert "this server takes 1,000,000" in json.loads(answer)["error"]
        assert small.ping() == 200


def test_a_body_of_unknown_length_is_counted_as_it_comes(model: Path) -> None:
    with serving(str(model), environment={"CROSSRANK_MAX_BODY": "1000"}) as small:
        connection = http.client.HTTPConnection(urlsplit(small.url).netloc, timeout=20)
        connection.request("POST", "/invocations", (b"x" * 100 for _ in range(20)), JSON, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()


def test_a_caller_that_leaves_ends_the_work_for_it(served: Served) -> None:
    # Different texts of full length, a minute of work.
    texts = [f"how do bees find flowers in the city at night {number} " * 6 for number in range(200_000)]
    body = json.dumps({"pairs": [["who bakes bread", text] for text in texts]}).encode()
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(3)
    line = served.wait_for("a caller left; its request was given up after")
    assert int(line.split(" after ")[1].split()[0].replace(",", "")) < len(texts)
    assert invoke(served, {"pairs": []})[0] == 200


def test_a_caller_that_leaves_in_the_middle_of_its_request_does_no_harm(served: Served) -> None:
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{")
    served.wait_for("left before its request was whole")
    assert invoke(served, {"pairs": []})[0] == 200


@pytest.mark.parametrize("damage", ["missing", "not a number"])
def test_a_model_that_fails_to_load_is_never_healthy_and_says_why(
    damage: str, model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    if damage == "missing":
        (broken / "model.safetensors").unlink()
    else:
        weights = load_file(broken / "model.safetensors")
        save(broken, {name: np.full_like(values, np.nan) for name, values in weights.items()})
    with serving(str(broken), until="/ping answers 503") as served:
        expected = "has no weights" if damage == "missing" else "its weights are damaged"
        for path, body in (("/ping", None), ("/invocations", b'{"pairs": []}')):
            status, answer, _ = call(f"{served.url}{path}", body, JSON)
            assert status == 503
            assert expected in json.loads(answer)["error"]
        assert served.stop() == 0


def test_it_answers_and_ends_before_its_model_is_there(tmp_path: Path) -> None:
    # A folder on the Hub that never answers: the model is loading for as long as the test lasts.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub = {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", "HF_HOME": str(tmp_path)}
        quiet = {"CROSSRANK_OFFLINE": "0", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        with serving("owner/slow", environment={**hub, **quiet}, until="listening on") as served:
            status, answer, _ = call(f"{served.url}/ping", seconds=20)
            assert status == 503
            assert json.loads(answer)["error"] == "the model is loading"
            assert served.stop(10) == 0, "a load that does not end does not keep the process"


def test_in_a_container_it_serves_the_model_dir_to_everyone_and_ends_on_sigterm_with_its_answers_sent(
    model: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "model")
    base = {"SAGEMAKER_BASE_DIR": str(tmp_path), "HF_MODEL_ID": "owner/unknown"}
    with serving(environment=base) as served:
        assert any("http://0.0.0.0:" in line for line in served.lines)
        texts = [f"the tide at {number} to the harbour and the sea " * 2 for number in range(40_000)]
        answers: list[tuple[int, bytes, str | None]] = []
        body = {"pairs": [["when is the tide", text] for text in texts]}
        caller = threading.Thread(target=lambda: answers.append(invoke(served, body)))
        caller.start()
        time.sleep(0.5)
        assert caller.is_alive(), "the request is being answered when the signal comes"
        assert served.stop() == 0
        caller.join()
    assert answers[0][0] == 200
    assert len(json.loads(answers[0][1])["scores"]) == len(texts)


def test_a_container_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    base = {"SAGEMAKER_BASE_DIR": str(tmp_path), "HF_MODEL_ID": ""}
    with serving(environment=base, until="HF_MODEL_ID names none") as served:
        assert served.ping() == 503


def test_a_port_that_is_taken_is_one_line(model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "crossrank", "serve", str(model)]
        process = subprocess.run(
            [*command, "--port", str(taken.getsockname()[1])],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert process.returncode == 4
    assert len(process.stderr.splitlines()) == 1
    assert "in use" in process.stderr


def test_no_page_loads_anything_from_elsewhere(served: Served) -> None:
    for path in ("/docs", "/redoc"):
        assert call(f"{served.url}{path}")[0] == 404


def test_openapi_has_an_example_of_each_format(served: Served) -> None:
    paths = json.loads(call(f"{served.url}/openapi.json")[1])["paths"]
    for path in ("/v2/rerank", "/rerank", "/tei/rerank", "/v1/ranking", "/score"):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        for name, example in content["examples"].items():
            status, answer, _ = call(f"{served.url}{path}", json.dumps(example["value"]).encode(), JSON)
            assert status == 200, (path, name, answer)


def test_without_the_extra_it_names_it(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ImportError('no uvicorn')")
    process = subprocess.run(
        [sys.executable, "-m", "crossrank", "serve"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 2
    assert "pip install 'crossrank[server]'" in process.stderr
