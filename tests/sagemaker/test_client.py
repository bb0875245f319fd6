"""The client against a server on this machine, through boto3."""

from __future__ import annotations

import asyncio
import copy
import json
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import numpy as np
import pytest
from support.aws import REGION, fake_credentials
from support.endpoint import Answer, Endpoint, running_endpoint, throttled

from crossrank import CrossEncoder, InputError, Reranker
from crossrank.sagemaker.client import MAX_BYTES, SagemakerCrossEncoder
from crossrank.sagemaker.inference import transform_fn
from crossrank.sagemaker.splitting import JsonPairs, split

PAIRS = [("who bakes", "x" * n) for n in range(1, 30)]
WANTED = [9 + n / 1024 for n in range(1, 30)]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    fake_credentials(monkeypatch)
    with running_endpoint() as running:
        yield running


def client(endpoint: Endpoint, **options: Any) -> SagemakerCrossEncoder:
    return SagemakerCrossEncoder("bakery", REGION, endpoint_url=endpoint.url, **options)


def test_one_request_gives_the_endpoint_s_logits_in_order(endpoint: Endpoint) -> None:
    logits, truncated = client(endpoint).logits(PAIRS)
    assert logits.dtype == np.float32
    assert logits.tolist() == WANTED
    assert truncated.tolist() == [0] * len(PAIRS)
    assert endpoint.requests == [{"pairs": [list(pair) for pair in PAIRS]}]
    assert endpoint.paths == ["/endpoints/bakery/invocations"]
    assert endpoint.headers[0]["Content-Type"] == endpoint.headers[0]["Accept"] == "application/json"


def test_ten_megabytes_come_back_whole_and_in_order_with_the_third_part_throttled_once(
    endpoint: Endpoint,
) -> None:
    pairs = [(f"question {n}", f"{n:05d}" + "é" * (17_000 + n)) for n in range(320)]
    third = iter([throttled()])
    endpoint.choose = lambda part: next(third, None) if part[0][0] == "question 256" else None
    done: list[int] = []
    logits, _ = client(endpoint).logits(pairs, progress=done.append)
    assert sum(endpoint.sizes) > 10_000_000
    assert [request["pairs"][0][0] for request in endpoint.requests].count("question 256") == 2
    assert len(endpoint.requests) == 4
    assert logits.tolist() == [len(query) + len(passage) / 1024 for query, passage in pairs]
    assert sum(done) == len(pairs)


def test_no_request_is_longer_than_the_limit(endpoint: Endpoint) -> None:
    pairs = [("who bakes", "é" * (100_000 + n)) for n in range(60)]
    model = client(endpoint)
    assert model.logits(pairs)[0].tolist() == [9 + (100_000 + n) / 1024 for n in range(60)]
    assert len(endpoint.sizes) == 2
    assert max(endpoint.sizes) <= MAX_BYTES < sum(endpoint.sizes)


def test_parts_keep_to_both_limits() -> None:
    wire = JsonPairs()
    parts = split(PAIRS, wire, max_pairs=10, max_bytes=200)
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == len(PAIRS)
    assert all(part.stop - part.start <= 10 and len(wire.encode(PAIRS[part])) <= 200 for part in parts)
    assert split([], wire, max_pairs=10, max_bytes=200) == []


def test_requests_go_side_by_side_and_never_more_than_allowed(endpoint: Endpoint) -> None:
    endpoint.seconds = 0.05
    assert client(endpoint, max_pairs=2, concurrency=3).logits(PAIRS)[0].tolist() == WANTED
    assert len(endpoint.requests) == 15
    assert endpoint.most_at_once == 3


def test_a_hundred_thousand_pairs_come_back_in_order(endpoint: Endpoint) -> None:
    pairs = [("q" * (n % 97 + 1), "p" * (n // 97)) for n in range(100_000)]
    logits, _ = client(endpoint, max_pairs=20_000, max_bytes=10**9).logits(pairs)
    assert logits.tolist() == [n % 97 + 1 + n // 97 / 1024 for n in range(100_000)]


def test_a_pair_that_occurs_again_is_sent_once(endpoint: Endpoint) -> None:
    done: list[int] = []
    logits, _ = client(endpoint).logits([PAIRS[0], PAIRS[1], PAIRS[0]], progress=done.append)
    assert len(endpoint.requests[0]["pairs"]) == 2
    assert logits.tolist() == [WANTED[0], WANTED[1], WANTED[0]]
    assert sum(done) == 3


def test_no_pairs_make_no_request(endpoint: Endpoint) -> None:
    assert client(endpoint).logits([])[0].shape == (0,)
    assert endpoint.requests == []


def test_predict_and_rank_are_the_local_ones(endpoint: Endpoint) -> None:
    model = client(endpoint)
    scores = model.predict([("a", "b"), ("a", "b" * 512)])
    assert np.allclose(scores, 1 / (1 + np.exp([-1 - 1 / 1024, -1.5])))
    assert model.predict(("a", "b"), activation_fn="none") == 1 + 1 / 1024
    assert [hit["corpus_id"] for hit in model.rank("a", ["b", "bbb", "bb"], top_k=2)] == [1, 2]
    assert isinstance(asyncio.run(model.arank("a", ["b"]))[0]["score"], float)
    assert np.asarray(asyncio.run(model.apredict([("a", "b")]))).shape == (1,)


def test_a_reranker_takes_it_as_it_takes_a_local_one(endpoint: Endpoint, bundled: CrossEncoder) -> None:
    documents = ["A tide table.", "Bakers bake bread.", "Trains run at night."]
    endpoint.score = lambda pairs: bundled.logits([(q, d) for q, d in pairs])[0].tolist()
    here = Reranker(bundled).rank("Who bakes bread?", documents)
    there = Reranker(client(endpoint)).rank("Who bakes bread?", documents)
    # An endpoint does not say how its model is calibrated.
    expected = tuple(replace(hit, probability=None) for hit in here)
    assert there.hits == expected
    assert asyncio.run(Reranker(client(endpoint)).arank("Who bakes bread?", documents)).hits == expected


def test_the_handlers_of_crossrank_answer_it(endpoint: Endpoint, bundled: CrossEncoder) -> None:
    endpoint.raw = lambda body, content_type, accept: transform_fn(bundled, body, content_type, accept)[0]
    pairs = [("Who bakes bread?", text) for text in ("A tide table.", "Bäcker backen Brot.", '🥖 \\ "')]
    assert client(endpoint).logits(pairs)[0].tolist() == bundled.logits(pairs)[0].tolist()


def test_the_notebook_s_handler_answers_it(endpoint: Endpoint, bundled: CrossEncoder) -> None:
    def cross_encoder(pairs: list[list[str]]) -> list[float]:
        return [float(logit) for logit in bundled.logits([(q, d) for q, d in pairs])[0]]

    # As the notebook's transform_fn has it, with its names.
    endpoint.raw = lambda body, content_type, accept: json.dumps(
        {"scores": cross_encoder(**json.loads(body))}
    ).encode()
    pairs = [("Who bakes bread?", text) for text in ("A tide table.", "Bäcker backen Brot.")]
    assert client(endpoint).logits(pairs)[0].tolist() == bundled.logits(pairs)[0].tolist()


def test_activation_none_keeps_what_the_endpoint_gives(endpoint: Endpoint) -> None:
    hits = Reranker(client(endpoint, activation="none")).rank("who", ["a", "b" * 1024])
    assert [(hit.score, hit.logit) for hit in hits] == [(4.0, 4.0), (3 + 1 / 1024, 3 + 1 / 1024)]


def test_scripts_that_the_model_does_not_read_are_not_sent(endpoint: Endpoint) -> None:
    ranking = Reranker(client(endpoint, scripts=["LATIN"])).rank("who", ["潮水每天涨落两次", "bakers"])
    assert [hit.score is None for hit in ranking] == [False, True]
    assert len(endpoint.requests[0]["pairs"]) == 1


def test_a_client_of_one_s_own_and_further_arguments_are_used(endpoint: Endpoint) -> None:
    own = boto3.client("sagemaker-runtime", region_name="us-east-2", endpoint_url=endpoint.url)
    model = SagemakerCrossEncoder("bakery", client=own, endpoint_kwargs={"TargetVariant": "blue"})
    assert model.logits(PAIRS[:2])[0].tolist() == WANTED[:2]
    assert endpoint.headers[0]["X-Amzn-SageMaker-Target-Variant"] == "blue"
    assert "us-east-2" in endpoint.headers[0]["Authorization"]


def test_threads_share_one_object(endpoint: Endpoint) -> None:
    model = client(endpoint, max_pairs=5)
    results: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: results.append(model.logits(PAIRS)[0].tolist())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [WANTED] * 8


@pytest.mark.parametrize("given", [True, False], ids=["given client", "made client"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_talks_over_connections_of_its_own(given: bool, endpoint: Endpoint) -> None:
    own = boto3.client("sagemaker-runtime", region_name=REGION, endpoint_url=endpoint.url)
    model = SagemakerCrossEncoder("bakery", client=own) if given else client(endpoint)
    model.logits(PAIRS)
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    process = fork.Process(target=lambda: results.put(model.logits(PAIRS)[0].tolist()))
    process.start()
    assert model.logits(PAIRS)[0].tolist() == WANTED
    process.join(30)
    assert process.exitcode == 0
    assert results.get() == WANTED
    assert model.logits(PAIRS)[0].tolist() == WANTED


def test_it_can_be_pickled_and_copied_after_use(endpoint: Endpoint) -> None:
    model = client(endpoint, max_pairs=3)
    model.logits(PAIRS)
    assert b"secret" not in pickle.dumps(model)
    assert pickle.loads(pickle.dumps(model)).logits(PAIRS)[0].tolist() == WANTED
    assert copy.deepcopy(model).logits(PAIRS)[0].tolist() == WANTED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_pairs": 0}, "max_pairs must be at least 1; it is 0"),
        ({"max_bytes": -1}, "max_bytes must be at least 1"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"deadline": -1}, "deadline"),
        ({"activation": "softmax"}, "it is 'softmax'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SagemakerCrossEncoder("bakery", REGION, **options)


def test_an_endpoint_has_a_name() -> None:
    with pytest.raises(InputError, match="name of an endpoint"):
        SagemakerCrossEncoder("")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("who", "x" * 2000), "pair 1 takes 2,0.. bytes as a request, and the endpoint takes 1,000"),
        (("who", "half \ud83d"), "lone surrogates"),
        (("who", None), "pair 1 must be two strings"),
    ],
)
def test_a_pair_that_cannot_be_sent_is_refused_before_anything_is(
    pair: Any, message: str, endpoint: Endpoint
) -> None:
    with pytest.raises(InputError, match=message):
        client(endpoint, max_bytes=1000).logits([("who", "bakes"), pair])
    assert endpoint.requests == []


def test_after_an_error_the_other_parts_are_not_sent(endpoint: Endpoint) -> None:
    endpoint.seconds = 0.05
    endpoint.answers = {1: Answer({"Message": "no"}, 400, "ValidationError")}
    with pytest.raises(Exception, match="refused the request: no"):
        client(endpoint, max_pairs=1, concurrency=2).logits(PAIRS)
    assert len(endpoint.requests) < 6
