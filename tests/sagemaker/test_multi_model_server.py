"""A packaged archive on Amazon's multi-model-server, called by boto3."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from support.aws import REGION, fake_credentials
from support.front import call, in_front_of
from support.model_server import model_server
from support.serving import serving
from support.tiny_models import PAIRS, write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.sagemaker.inference import model_fn, transform_fn
from crossrank.sagemaker.packaging import package_model

pytestmark = pytest.mark.sagemaker


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    made = package_model(write_reranker(folder / "reranker"), folder / "model.tar.gz")
    with tarfile.open(made.path) as archive:
        archive.extractall(folder / "model", filter="data")
    return folder / "model"


@pytest.fixture(scope="module")
def container(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with model_server(unpacked, tmp_path_factory.mktemp("mms")) as url:
        yield url


@pytest.fixture
def runtime(container: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    fake_credentials(monkeypatch)
    with in_front_of(container) as url:
        yield boto3.client("sagemaker-runtime", region_name=REGION, endpoint_url=url)


def invoke(runtime: Any, body: object, content_type: str = "application/json", **options: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = runtime.invoke_endpoint(EndpointName="bakery", ContentType=content_type, Body=content, **options)
    return bytes(answer["Body"].read())


def test_every_path_gives_the_same_logits(runtime: Any, unpacked: Path) -> None:
    body = {"pairs": PAIRS}
    local = CrossEncoder(unpacked).logits(PAIRS)[0]
    handlers = transform_fn(model_fn(str(unpacked)), json.dumps(body).encode(), "application/json", "*/*")[0]
    with serving(str(unpacked)) as own:
        ours = call(
            f"{own.url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )[1]
    for answer in (handlers, ours, invoke(runtime, body), invoke(runtime, body, Accept="*/*")):
        np.testing.assert_allclose(json.loads(answer)["scores"], local, rtol=0, atol=1e-5)


def test_each_form_of_request_comes_through(runtime: Any) -> None:
    ranked = json.loads(invoke(runtime, {"query": "a", "documents": ["b", "c"], "top_n": 1}))
    assert len(ranked["results"]) == 1
    lines = invoke(runtime, b'{"pairs": [["a", "b"]]}\n{"pairs": [["a", "c"]]}', "application/jsonlines")
    assert [json.loads(line)["scores"][0] for line in lines.splitlines()] == ranked["scores"]
    table = invoke(runtime, b"a,b\na,c\n", "text/csv; charset=utf-8", Accept="text/csv")
    assert [float(line) for line in table.splitlines()] == ranked["scores"]


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        (b"not json", 400, "the body is not JSON"),
        (b'{"pairs": [["a"]]}', 400, "pairs[0] must be two strings"),
    ],
)
def test_a_wrong_request_tells_the_caller_what_was_wrong(
    body: bytes, status: int, expected: str, runtime: Any
) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        invoke(runtime, body)
    answer = caught.value.response
    assert answer["OriginalStatusCode"] == status
    assert expected in answer["OriginalMessage"]
    assert "Traceback" not in answer["OriginalMessage"]


def test_as_many_pairs_as_its_size_allows_come_back_in_order(runtime: Any, unpacked: Path) -> None:
    texts = [f"the tide at {number} to the harbour" for number in range(100_000)]
    answer = invoke(runtime, {"pairs": [["when is the tide", text] for text in texts]})
    scores = json.loads(answer)["scores"]
    assert len(scores) == len(texts)
    some = [0, 4096, 99_999]
    local = CrossEncoder(unpacked).logits([("when is the tide", texts[i]) for i in some])[0]
    np.testing.assert_allclose([scores[i] for i in some], local, rtol=0, atol=1e-5)


def test_ten_megabytes_come_back_whole(runtime: Any, unpacked: Path) -> None:
    pairs = [("when is the tide", f"{number} " + "harbour " * 125_000) for number in range(11)]
    scores = json.loads(invoke(runtime, {"pairs": pairs}))["scores"]
    np.testing.assert_allclose(scores, CrossEncoder(unpacked).logits(pairs)[0], rtol=0, atol=1e-5)


def test_it_says_healthy_where_the_model_does_not_load_and_its_answers_say_why(
    unpacked: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(unpacked, broken)
    (broken / "model.safetensors").unlink()
    with model_server(broken, tmp_path, loads=False) as url:
        assert call(f"{url}/ping")[0] == 200, "then docs/sagemaker.md need not say so any more"
        status, answer, _ = call(f"{url}/invocations", b'{"pairs": []}', {"Content-Type": "application/json"})
    assert status == 500
    assert b"has no weights" in answer


def test_no_process_stays_behind(unpacked: Path, tmp_path: Path) -> None:
    with model_server(unpacked, tmp_path):
        assert _processes(tmp_path)
    assert _processes(tmp_path) == []


def _processes(workplace: Path) -> list[str]:
    """Command lines of processes that keep their temporary files there."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and int(process.name) != os.getpid():
                environment = (process / "environ").read_bytes()
                if f"TMPDIR={workplace}\0".encode() in environment:
                    found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended meanwhile, or is another user's
    return found
