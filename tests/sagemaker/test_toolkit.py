"""The handlers through Amazon's own toolkit, as its containers call them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_models import PAIRS, write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.sagemaker.packaging import _HANDLERS

pytestmark = pytest.mark.sagemaker


class Toolkit:
    """sagemaker_inference's default handler service over the model server's own context."""

    def __init__(self, model_dir: Path) -> None:
        from mms.context import Context
        from sagemaker_inference.default_handler_service import DefaultHandlerService

        self.context = Context("model", str(model_dir), None, 1, None, "1.1.11")
        self.service = DefaultHandlerService()
        self.service.initialize(self.context)

    def invoke(self, body: bytes, **headers: str) -> tuple[int, Any, str | None]:
        """Status, body and content type of the answer."""
        from mms.context import RequestProcessor

        processor = RequestProcessor({name.replace("_", "-"): value for name, value in headers.items()})
        self.context.request_processor = [processor]
        [answer] = self.service.handle([{"body": bytearray(body)}], self.context)
        status = self.context.get_response_status(0)[0]
        return status or 200, answer, processor.get_response_headers().get("content-type")


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolkit:
    model_dir = write_reranker(tmp_path / "model")
    (model_dir / "code").mkdir()
    (model_dir / "code" / "inference.py").write_text(_HANDLERS)
    monkeypatch.syspath_prepend(str(model_dir / "code"))
    monkeypatch.delitem(sys.modules, "inference", raising=False)
    monkeypatch.setenv("PYTHONPATH", "")
    return Toolkit(model_dir)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "application/json"},
        {"Content_Type": "application/json; charset=utf-8", "Accept": "*/*"},
        {"Content_Type": "application/json", "Accept": "text/html, */*;q=0.8"},
        {"content_type": "application/json", "accept": "application/json"},
    ],
)
def test_the_toolkit_answers_what_the_model_scores(
    headers: dict[str, str], toolkit: Toolkit, tiny: CrossEncoder
) -> None:
    status, answer, content_type = toolkit.invoke(json.dumps({"text_pairs": PAIRS}).encode(), **headers)
    assert (status, content_type) == (200, "application/json")
    np.testing.assert_allclose(json.loads(answer)["scores"], tiny.logits(PAIRS)[0], rtol=0, atol=1e-5)


def test_lines_and_csv_come_through(toolkit: Toolkit) -> None:
    lines = b'{"pairs": [["a", "b"]]}\n{"pairs": [["c", "d"]]}\n'
    status, answer, content_type = toolkit.invoke(lines, Content_Type="application/jsonlines")
    assert (status, content_type) == (200, "application/jsonlines")
    scores = [json.loads(line)["scores"][0] for line in answer.splitlines()]
    status, answer, content_type = toolkit.invoke(b"a,b\nc,d\n", Content_Type="text/csv", Accept="text/csv")
    assert (status, content_type) == (200, "text/csv")
    assert [float(line) for line in answer.splitlines()] == scores


@pytest.mark.parametrize(
    ("body", "content_type", "status", "expected"),
    [
        (b"not json", "application/json", 400, "the body is not JSON"),
        (b'{"pairs": [["a"]]}', "application/json; charset=utf-8", 400, "pairs[0] must be two strings"),
        (b'{"pairs": [["\xff", "b"]]}', "application/json", 400, "the body is not valid UTF-8"),
        (b"{}", "application/x-npy", 415, "send application/json"),
    ],
)
def test_a_wrong_request_is_answered_with_what_was_wrong_and_no_traceback(
    body: bytes, content_type: str, status: int, expected: str, toolkit: Toolkit
) -> None:
    given, answer, _ = toolkit.invoke(body, Content_Type=content_type)
    assert given == status
    assert expected in answer
    assert "Traceback" not in answer
    assert "\n" not in answer


def test_the_error_is_the_toolkits_own(toolkit: Toolkit) -> None:
    from sagemaker_inference.errors import BaseInferenceToolkitError

    from crossrank.sagemaker.inference import transform_fn

    with pytest.raises(BaseInferenceToolkitError) as caught:
        transform_fn(toolkit.service._service._model, b"{}", "application/json", "*/*")
    assert caught.value.status_code == 400
    assert caught.value.phrase == "Bad Request"


def test_errors_of_other_kinds_keep_their_traceback(toolkit: Toolkit) -> None:
    toolkit.service._service._model = None
    status, answer, _ = toolkit.invoke(b'{"pairs": []}', Content_Type="application/json")
    assert status == 500
    assert "Traceback" in answer


def test_a_model_that_fails_to_load_says_why(
    tmp_path: Path, toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_MODEL_ID", raising=False)
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(Exception, match=r"holds no config.json"):
        Toolkit(tmp_path / "model")
