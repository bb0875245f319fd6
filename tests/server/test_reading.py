"""Long documents, truncation and explanations over HTTP, in the formats of all clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from support.front import call
from support.serving import Served, serving

from crossrank import CrossEncoder, Reranker

QUESTION = "Who bakes bread?"
ANSWER = "Every night the bakers bake bread for all."
SHORT = f"Trains run along the coast. {ANSWER} Bees dance."
LONG = "Trains run along the coast in summer. " * 100 + ANSWER
DOCUMENTS = ["A tide table.", SHORT, LONG]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


def post(served: Served, path: str, **fields: Any) -> Any:
    body = json.dumps({"query": QUESTION, "documents": DOCUMENTS, **fields}).encode()
    status, answer, _ = call(f"{served.url}{path}", body, {"Content-Type": "application/json"})
    parsed = json.loads(answer)
    return parsed if status == 200 else (status, parsed)


def by_index(answer: Any) -> dict[int, Any]:
    return {result["index"]: result for result in answer.get("results") or answer["data"]}


PATHS = [
    "/v1/rerank",
    "/cohere/v2/rerank",
    "/jina/v1/rerank",
    "/vllm/rerank",
    "/infinity/rerank",
    "/voyage/rerank",
]


@pytest.mark.parametrize("path", PATHS)
def test_documents_are_read_in_windows_in_every_format(
    path: str, served: Served, bundled: CrossEncoder
) -> None:
    answer = post(served, path, long_documents="windows", best_windows=2)
    found = by_index(answer)
    expected = Reranker(bundled).rank(
        QUESTION, DOCUMENTS, long_documents="windows", best_windows=2, activation="sigmoid"
    )
    for hit in expected:
        result = found[hit.candidate.rank - 1]
        assert result["relevance_score"] == pytest.approx(hit.score, abs=1e-5)
        assert result.get("window") == (hit.window and asdict(hit.window))
    assert found[2]["window"]["count"] > 1
    assert "warnings" not in answer["meta"]
    plain = post(served, path)
    assert answer["usage"]["total_tokens"] > plain["usage"]["total_tokens"] > 500
    [warning] = plain["meta"]["warnings"]
    assert "document 2 (" in warning
    assert '"long_documents": "windows"' in warning


def test_formats_without_results_score_windows_too(served: Served) -> None:
    texts = post(served, "/rerank", texts=DOCUMENTS, long_documents="windows")
    scores = {one["index"]: one["score"] for one in texts}
    assert (
        scores[2] > {one["index"]: one["score"] for one in post(served, "/rerank", texts=DOCUMENTS)}[2] + 0.1
    )


def test_truncation_can_be_an_error_or_ignored(served: Served) -> None:
    status, answer = post(served, "/v1/rerank", on_truncation="error")
    assert (status, answer["message"][:11]) == (400, "document 2 ")
    assert "warnings" not in post(served, "/v1/rerank", on_truncation="ignore")["meta"]
    assert "warnings" not in post(served, "/v1/rerank", long_documents="first", on_truncation="error")["meta"]
    status, _ = post(served, "/v1/rerank", explain=True, on_truncation="error")
    assert status == 400


def test_results_are_explained_as_by_a_reranker(served: Served, bundled: CrossEncoder) -> None:
    answer = post(served, "/v1/rerank", explain=True, long_documents="windows", top_n=2)
    hits = Reranker(bundled).rank(QUESTION, DOCUMENTS, long_documents="windows", explain=True, top_n=2)
    for result, hit in zip(answer["results"], hits, strict=True):
        assert result["index"] == hit.candidate.rank - 1
        own = [span.to_dict() for span in hit.spans]
        assert [(span["start"], span["end"]) for span in result["spans"]] == [
            (span["start"], span["end"]) for span in own
        ]
        assert [span["weight"] for span in result["spans"]] == pytest.approx(
            [span["weight"] for span in own], abs=1e-5
        )
        assert hit.text[slice(result["spans"][0]["start"], result["spans"][0]["end"])] == ANSWER
        assert result["spans"][0]["words"]
    assert all("spans" not in result for result in post(served, "/v1/rerank")["results"])


def test_relevant_spans_are_cohere_s(served: Served) -> None:
    answer = post(served, "/v2/rerank", relevant_spans={"mode": "enabled"})
    found = by_index(answer)
    [span] = found[1]["relevant_spans"]
    assert set(span) == {"start", "end", "score"}
    assert SHORT[span["start"] : span["end"]] == ANSWER
    assert 0.1 <= span["score"] <= 1
    assert found[0]["relevant_spans"] == []
    everything = post(
        served, "/v2/rerank", relevant_spans={"mode": "enabled", "threshold": 0, "max_spans": 2}
    )
    for result in everything["results"]:
        scores = [span["score"] for span in result["relevant_spans"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) <= 2
    assert len(by_index(everything)[1]["relevant_spans"]) == 2
    disabled = post(served, "/v2/rerank", relevant_spans={"mode": "disabled"})
    assert all("relevant_spans" not in result for result in disabled["results"])


def test_ends_of_documents_that_are_kept_are_explained_where_they_are(served: Served) -> None:
    answer = post(served, "/v1/rerank", truncation_side="left", explain=True)
    span = by_index(answer)[2]["spans"][0]
    assert LONG[span["start"] : span["end"]] == ANSWER
    [warning] = answer["meta"]["warnings"]
    assert "document 2 (" in warning
    limited = by_index(post(served, "/v1/rerank", max_tokens_per_doc=8, explain=True))[1]["spans"]
    assert [span["end"] <= SHORT.index(ANSWER) + 20 for span in limited] == [True] * len(limited)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"long_documents": "all"}, "long_documents must be one of truncate, windows, first"),
        ({"best_windows": 0}, "best_windows must be a whole number from 1; it is 0"),
        ({"on_truncation": "raise"}, "on_truncation must be one of warn, error, ignore"),
        ({"explain": "perhaps"}, "explain must be true or false"),
        ({"relevant_spans": True}, "relevant_spans must be an object"),
        ({"relevant_spans": {"mode": "on"}}, "mode must be one of enabled, disabled"),
        ({"relevant_spans": {"mode": "enabled", "max_spans": 0}}, "max_spans must be a whole number from 1"),
    ],
)
def test_fields_that_cannot_be_meant_are_refused(
    fields: dict[str, Any], message: str, served: Served
) -> None:
    status, answer = post(served, "/v2/rerank", **fields)
    assert status == 400
    assert message in answer["message"]
