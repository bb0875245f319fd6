"""LangChain's SagemakerEndpointCrossEncoder against a server on this machine, through boto3."""

from __future__ import annotations

import asyncio
import copy
import json
import math
import pickle
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from langchain_core.documents import Document
from support.aws import REGION, fake_credentials
from support.endpoint import Answer, Endpoint, lengths, running_endpoint, throttled

from crossrank import CrossEncoder, InputError
from crossrank.integrations.langchain import (
    CrossEncoderContentHandler,
    CrossEncoderReranker,
    HuggingFaceCrossEncoder,
    SagemakerEndpointCrossEncoder,
)
from crossrank.sagemaker.faults import CredentialsError, EndpointAnswerError

QUERY = "Who bakes bread?"
DOCUMENTS = [Document(text) for text in ("A tide table.", "Bakers bake bread.", "Trains run at night.")]
PAIRS = [(QUERY, document.page_content) for document in DOCUMENTS]


class TextPairs(CrossEncoderContentHandler):
    """The archived class's words."""

    def transform_input(self, text_pairs: list[tuple[str, str]]) -> bytes:
        return json.dumps({"text_pairs": text_pairs}).encode("utf-8")


class Lines:
    """A handler that is no subclass, writes strings and reads lines."""

    content_type = "application/json"
    accepts = "text/plain"

    def transform_input(self, text_pairs: list[tuple[str, str]]) -> str:
        return json.dumps({"pairs": text_pairs})

    def transform_output(self, output: Any) -> list[float]:
        return [float(line) for line in output.iter_lines()]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    fake_credentials(monkeypatch)
    with running_endpoint() as running:
        yield running


def model(endpoint: Endpoint, **fields: Any) -> SagemakerEndpointCrossEncoder:
    keywords = {"endpoint_url": endpoint.url, **fields.pop("model_kwargs", {})}
    return SagemakerEndpointCrossEncoder(
        endpoint_name="bakery", region_name=REGION, model_kwargs=keywords, **fields
    )


def test_the_archived_class_s_fields_are_there() -> None:
    assert set(SagemakerEndpointCrossEncoder.model_fields) == {
        "client",
        "endpoint_name",
        "region_name",
        "credentials_profile_name",
        "content_handler",
        "model_kwargs",
        "endpoint_kwargs",
    }


def test_scores_are_the_endpoint_s_logits_through_the_sigmoid(endpoint: Endpoint) -> None:
    scores = model(endpoint).score(PAIRS)
    assert scores == [1 / (1 + math.exp(-logit)) for logit in lengths([list(pair) for pair in PAIRS])]
    assert list(endpoint.requests[0]) == ["pairs"], "what the notebook's inference.py reads"


def test_activation_none_gives_what_the_archived_class_gave(endpoint: Endpoint) -> None:
    given = lengths([list(pair) for pair in PAIRS])
    assert model(endpoint, model_kwargs={"activation": "none"}).score(PAIRS) == given


def test_a_reranker_gives_what_it_gives_with_a_local_model(endpoint: Endpoint, bundled: CrossEncoder) -> None:
    endpoint.score = lambda pairs: bundled.logits([(q, d) for q, d in pairs])[0].tolist()
    here = CrossEncoderReranker(model=HuggingFaceCrossEncoder(), top_n=2)
    there = CrossEncoderReranker(model=model(endpoint), top_n=2)
    wanted = here.compress_documents(DOCUMENTS, QUERY)
    for document in wanted:
        assert document.metadata["relevance_probability"] is not None
        document.metadata["relevance_probability"] = None  # an endpoint's model is not calibrated
    assert there.compress_documents(DOCUMENTS, QUERY) == wanted
    assert asyncio.run(there.acompress_documents(DOCUMENTS, QUERY)) == wanted
    assert wanted[0].metadata["relevance_logit"] is not None


def test_langchain_s_own_reranker_takes_it(endpoint: Endpoint) -> None:
    from langchain_classic.retrievers import document_compressors

    reranker = document_compressors.CrossEncoderReranker(model=model(endpoint), top_n=1)
    assert reranker.compress_documents(DOCUMENTS, QUERY)[0].page_content == "Trains run at night."


def test_another_handler_s_words_and_answers_are_used(endpoint: Endpoint) -> None:
    endpoint.key = "text_pairs"
    assert len(model(endpoint, content_handler=TextPairs()).score(PAIRS)) == 3
    endpoint.say(*[Answer()] * len(endpoint.requests), Answer(b"0.5\n-1\n2\n"))
    plain = model(endpoint, content_handler=Lines(), model_kwargs={"activation": "none"})
    assert plain.score(PAIRS) == [0.5, -1, 2]
    assert endpoint.headers[-1]["Accept"] == "text/plain"


def test_requests_of_any_handler_keep_to_the_limits(endpoint: Endpoint) -> None:
    endpoint.key = "text_pairs"
    endpoint.answers = {1: throttled()}
    narrow = model(
        endpoint, content_handler=TextPairs(), model_kwargs={"max_bytes": 300, "activation": "none"}
    )
    pairs = [(QUERY, "x" * n) for n in range(40)]
    assert narrow.score(pairs) == lengths([list(pair) for pair in pairs])
    assert max(endpoint.sizes) <= 300


def test_what_a_handler_cannot_read_is_an_error(endpoint: Endpoint) -> None:
    endpoint.say(Answer({"results": []}))
    with pytest.raises(EndpointAnswerError, match=r"content_handler cannot read the answer \(KeyError"):
        model(endpoint).score(PAIRS)


def test_a_client_and_endpoint_kwargs_are_used(endpoint: Endpoint) -> None:
    own = boto3.client("sagemaker-runtime", region_name="us-east-2", endpoint_url=endpoint.url)
    given = SagemakerEndpointCrossEncoder(
        client=own, endpoint_name="bakery", endpoint_kwargs={"TargetVariant": "blue"}
    )
    assert len(given.score(PAIRS)) == 3
    assert given.client is own
    assert endpoint.headers[0]["X-Amzn-SageMaker-Target-Variant"] == "blue"


def test_a_profile_is_looked_for_when_it_is_needed(endpoint: Endpoint) -> None:
    with pytest.raises(CredentialsError, match="no AWS profile 'bakers'"):
        model(endpoint, credentials_profile_name="bakers").score(PAIRS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"endpoint_name": ""}, "name of an endpoint"),
        ({"model_kwargs": {"max_pair": 3}}, "max_pair.* known are .*max_pairs"),
        ({"model_kwargs": {"activation": "softmax"}}, "it is 'softmax'"),
        ({"model_kwargs": {"max_pairs": 0}}, "max_pairs must be at least 1"),
        ({"content_handler": object()}, "content_handler must have transform_input"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SagemakerEndpointCrossEncoder(**{"endpoint_name": "bakery", **fields})


def test_it_can_be_copied_and_pickled(endpoint: Endpoint) -> None:
    used = model(endpoint, content_handler=TextPairs())
    endpoint.key = "text_pairs"
    wanted = used.score(PAIRS)
    assert pickle.loads(pickle.dumps(used)).score(PAIRS) == wanted
    assert copy.deepcopy(used).score(PAIRS) == wanted
