"""The client and ``crossrank serve``, with nothing between them but what SageMaker does to an address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.aws import REGION, fake_credentials
from support.front import in_front_of
from support.serving import serving
from support.tiny_models import PAIRS, TEXTS, write_reranker

from crossrank import CrossEncoder, Reranker
from crossrank.sagemaker.client import SagemakerCrossEncoder
from crossrank.sagemaker.faults import EndpointModelError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("served") / "reranker")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(str(folder)) as served, in_front_of(served.url) as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_credentials(monkeypatch)


def test_logits_are_those_of_the_local_model(address: str, folder: Path) -> None:
    there = SagemakerCrossEncoder("bakery", REGION, endpoint_url=address, max_pairs=3)
    here = CrossEncoder(folder)
    np.testing.assert_allclose(there.logits(PAIRS)[0], here.logits(PAIRS)[0], rtol=0, atol=1e-5)
    ranked = Reranker(there).rank("who bakes bread", TEXTS)
    wanted = Reranker(here).rank("who bakes bread", TEXTS)
    assert [hit.document.id for hit in ranked] == [hit.document.id for hit in wanted]


def test_what_the_server_says_to_a_wrong_request_reaches_the_caller(address: str) -> None:
    class Wrong:
        content_type = accept = "application/json"

        def encode(self, pairs: object) -> bytes:
            return b'{"pairs": [["only one text"]]}'

        def decode(self, body: bytes) -> list[float]:
            return []

    model = SagemakerCrossEncoder("bakery", REGION, endpoint_url=address, wire=Wrong())
    with pytest.raises(
        EndpointModelError, match=r"its model answered 400: .*pairs\[0\] must be two strings"
    ) as caught:
        model.logits(PAIRS)
    assert caught.value.original_status_code == 400
