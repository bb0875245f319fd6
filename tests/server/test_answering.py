"""Requests through the model, whatever wire format they came in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.tiny_models import PAIRS, write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.server.answering import answer_body, answers_of, as_request_error, cut_of, pairs_of
from crossrank.server.queue.scheduler import Scheduler
from crossrank.server.request import RequestError, RerankAnswer, RerankRequest, Result, SentDocument
from crossrank.server.wire.cohere import CohereV2


def answer_requests(model: CrossEncoder, requests: Sequence[RerankRequest]) -> list[RerankAnswer]:
    scheduler = Scheduler(model)
    try:
        job = scheduler.submit(pairs_of(requests), cut_of(requests, None))
        return answers_of(requests, job.future.result(30), model, "served")
    except Exception as error:
        raise as_request_error(error, requests) from error
    finally:
        scheduler.close()


def documents(*texts: str) -> list[SentDocument]:
    return [SentDocument(text, text) for text in texts]


def test_requests_scored_together_have_the_scores_that_they_have_alone(tiny: CrossEncoder) -> None:
    requests = [
        RerankRequest("when is the tide", documents("the tide at the harbour", "bakers bake bread")),
        RerankRequest("who bakes bread", []),
        RerankRequest("who bakes bread", documents("bakers bake bread"), raw_scores=True),
    ]
    together = answer_requests(tiny, requests)
    assert together == [answer for request in requests for answer in answer_requests(tiny, [request])]
    assert [len(answer.results) for answer in together] == [2, 0, 1]


def test_scores_are_the_sigmoid_of_the_logits_whatever_activation_the_model_was_saved_with(
    tmp_path: Path,
) -> None:
    identity = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    model = CrossEncoder(write_reranker(tmp_path / "reranker", config=identity))
    query, text = PAIRS[0]
    logit = model.logits([(query, text)])[0][0]
    assert model.predict((query, text)) == logit
    scored, raw = answer_requests(
        model, [RerankRequest(query, documents(text), raw_scores=raw) for raw in (False, True)]
    )
    assert scored.results[0].score == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-7)
    assert raw.results[0].score == scored.results[0].logit == logit


def test_results_whose_scores_are_equal_are_ordered_by_their_logits() -> None:
    request = RerankRequest("q", documents("a", "b"))
    results = [Result(0, request.documents[0], 20.0, 1.0), Result(1, request.documents[1], 30.0, 1.0)]
    assert [result.index for result in RerankAnswer(request, results, "m").best()] == [1, 0]


def test_a_document_that_is_too_long_is_cut_and_counted_or_refused(tiny: CrossEncoder) -> None:
    long = documents("bread", "bread " * 600)
    [answer] = answer_requests(tiny, [RerankRequest("who bakes bread", long)])
    assert answer.results[0].truncated_tokens == 0
    assert answer.results[1].truncated_tokens > 0
    with pytest.raises(RequestError, match=r"document 1 is \d+ tokens too long") as caught:
        answer_requests(tiny, [RerankRequest("who bakes bread", long, truncate=False)])
    assert caught.value.status == 400


def test_an_answer_names_the_model_and_keeps_what_was_sent(tiny: CrossEncoder) -> None:
    sent = {"text": "bakers bake bread", "id": 7}
    [answer] = answer_requests(
        tiny, [RerankRequest("who bakes bread", [SentDocument("bakers bake bread", sent)])]
    )
    assert answer.model == "served"
    assert answer.results[0].document.sent is sent


@pytest.mark.parametrize(
    ("top_n", "expected"), [(None, [2, 1, 3, 0]), (0, []), (2, [2, 1]), (9, [2, 1, 3, 0])]
)
def test_the_best_come_first_and_ties_keep_their_order(top_n: int | None, expected: list[int]) -> None:
    request = RerankRequest("q", documents("a", "b", "c", "d"), top_n=top_n)
    scores = np.array([1.0, 2.0, 5.0, 2.0])
    scored = enumerate(zip(request.documents, scores, strict=True))
    answer = RerankAnswer(
        request, [Result(i, document, score, score) for i, (document, score) in scored], "m"
    )
    assert [result.index for result in answer.best()] == expected


def test_a_document_is_read_up_to_a_number_of_tokens_or_from_its_end(tiny: CrossEncoder) -> None:
    text = "the tide at the harbour " * 40 + "the baker bakes bread"
    [whole, short, end] = (
        answer_requests(tiny, [RerankRequest("who bakes bread", documents(text), **options)])[0].results[0]
        for options in ({}, {"document_tokens": 5}, {"keep_end": True})
    )
    limit = tiny.tokenizer.max_tokens
    assert whole.tokens == end.tokens == limit
    assert whole.truncated_tokens == end.truncated_tokens
    assert short.tokens == limit - (short.truncated_tokens - whole.truncated_tokens)
    kept = " ".join(text.split()[:5])
    assert short.logit == tiny.logits([("who bakes bread", kept)])[0][0]
    room = limit - short.tokens + 5
    assert end.logit == tiny.logits([("who bakes bread", " ".join(text.split()[-room:]))])[0][0]


@pytest.mark.parametrize("tokens", [5, 8, 9, 20, 10_000])
@pytest.mark.parametrize("query", ["who bakes bread", "who bakes bread at night " * 20])
def test_a_pair_is_read_up_to_a_number_of_tokens(tokens: int, query: str, tiny: CrossEncoder) -> None:
    text = "the tide at the harbour " * 40
    [answer] = answer_requests(tiny, [RerankRequest(query, documents(text, "bread"), pair_tokens=tokens)])
    expected = tiny.outputs([(query, text), (query, "bread")], max_length=tokens)[:, 0]
    assert [result.logit for result in answer.results] == expected.tolist()
    assert answer.results[0].tokens == min(tokens, tiny.tokenizer.max_tokens)
    assert answer.results[0].truncated_tokens > 0


def test_a_limit_without_room_for_a_pair_is_an_error(tiny: CrossEncoder) -> None:
    with pytest.raises(RequestError, match="has at least 5 tokens; the limit is 3") as caught:
        answer_requests(tiny, [RerankRequest("who", documents("bread"), pair_tokens=3)])
    assert caught.value.status == 400


def test_min_probability_leaves_out_results_that_are_probably_not_relevant(bundled: CrossEncoder) -> None:
    def answered(body: dict[str, object]) -> list[dict[str, float]]:
        sent = {"query": "Who bakes bread?", "documents": ["A tide table.", "Bakers bake bread."], **body}
        answer, _ = answer_body(CohereV2(), bundled, json.dumps(sent).encode())
        results: list[dict[str, float]] = json.loads(answer)["results"]
        return results

    best, other = answered({})
    assert bundled.calibration is not None
    assert 1 > best["probability"] > other["probability"] > 0
    assert answered({"min_probability": best["probability"]}) == [best]
    assert answered({"min_probability": 1}) == []
    with pytest.raises(RequestError, match="min_probability must be a number from 0 to 1") as caught:
        answered({"min_probability": 2})
    assert caught.value.status == 400


def test_without_a_calibration_there_is_no_probability_and_no_threshold(tiny: CrossEncoder) -> None:
    asked = RerankRequest("who bakes bread", documents("bakers bake bread"))
    [answer] = answer_requests(tiny, [asked])
    assert answer.results[0].probability is None
    with pytest.raises(RequestError, match="is not calibrated for its logit alone") as caught:
        answer_requests(tiny, [replace(asked, min_probability=0.5)])
    assert caught.value.status == 400
