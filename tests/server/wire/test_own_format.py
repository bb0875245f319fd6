"""A wire format is one class: here is another one, served next to SageMaker's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from support.front import call
from support.tiny_models import write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.server.app import WIRES, create_app
from crossrank.server.limits import Limits
from crossrank.server.request import RequestError, RerankAnswer, RerankRequest, SentDocument
from crossrank.server.running import open_models
from crossrank.server.settings import Settings
from crossrank.server.wire import Body

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class _Call:
    wire: Dutch
    requests: Sequence[RerankRequest]
    answer_type = "application/json"

    def write(self, answers: Sequence[RerankAnswer]) -> bytes:
        best = answers[0].best()
        return json.dumps([{"nr": result.index, "text": result.document.sent} for result in best]).encode()


class Dutch:
    """``{"vraag": query, "teksten": [text, ...], "hoeveel": top_n}``."""

    paths = ("/rangschik", "/v2/rangschik")

    def read(self, body: Body, content_type: str | None, accept: str | None) -> _Call:
        sent = json.loads(body)
        if "vraag" not in sent:
            raise RequestError(422, "vraag ontbreekt")
        texts = [SentDocument(text, text) for text in sent["teksten"]]
        return _Call(self, [RerankRequest(sent["vraag"], texts, sent.get("hoeveel"))])

    def error(self, error: RequestError) -> object:
        return {"fout": {"code": error.status, "bericht": str(error)}}


@contextmanager
def serving(model: Path) -> Iterator[str]:
    models, metrics = open_models(Settings(models=(str(model),)))
    app = create_app(models, metrics=metrics, limits=Limits(max_body=1000), wires=[*WIRES, Dutch()])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        while call(f"{url}/ping")[0] != 200:
            time.sleep(0.01)
        yield url
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(write_reranker(tmp_path_factory.mktemp("models") / "reranker")) as address:
        yield address


@pytest.mark.parametrize("path", Dutch.paths)
def test_a_format_of_ones_own_is_answered_at_its_paths(path: str, url: str, tiny: CrossEncoder) -> None:
    texts = ["the tide at the harbour", "bakers bake bread"]
    body = json.dumps({"vraag": "who bakes bread", "teksten": texts, "hoeveel": 1}).encode()
    status, answer, content_type = call(f"{url}{path}", body, JSON)
    [best] = tiny.rank("who bakes bread", texts, top_k=1, return_documents=True)
    assert (status, content_type) == (200, "application/json")
    assert json.loads(answer) == [{"nr": best["corpus_id"], "text": best["text"]}]


@pytest.mark.parametrize(("body", "status"), [(b"{}", 422), (b" " * 2000, 413)])
def test_its_errors_are_in_its_own_form_wherever_they_arise(body: bytes, status: int, url: str) -> None:
    given, answer, _ = call(f"{url}/rangschik", body, JSON)
    assert given == status
    assert json.loads(answer)["fout"]["code"] == status


def test_the_other_formats_are_served_as_before(url: str) -> None:
    assert call(f"{url}/invocations", b'{"pairs": []}', JSON)[:2] == (200, b'{"scores": []}')
    assert json.loads(call(f"{url}/invocations", b"[]", JSON)[1]).keys() == {"error"}
