"""The exact requests of applications that cannot run here, and what they read of the answer.

They were read off the applications' own code; docs/serving.md lists them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.front import call
from support.serving import Served, serving
from support.tiny_models import write_reranker

from crossrank.inference.cross_encoder import CrossEncoder

QUERY = "who bakes bread"
# Two are equal and one is empty: applications that read by position notice each that is missing.
TEXTS = [
    "the tide at the harbour",
    "the baker bakes bread",
    "",
    "the baker bakes bread",
    "the sea rises " * 40,
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(str(write_reranker(tmp_path_factory.mktemp("models") / "reranker"))) as running:
        yield running


@pytest.fixture(scope="module")
def scores(tiny: CrossEncoder) -> list[float]:
    return [float(s) for s in tiny.predict([(QUERY, text) for text in TEXTS], activation_fn="sigmoid")]


def post(served: Served, path: str, body: Any, **headers: str) -> Any:
    content = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    status, answer, _ = call(f"{served.url}{path}", json.dumps(body).encode(), content)
    assert status == 200, answer
    return json.loads(answer)


def by_position(rows: list[dict[str, Any]], name: str) -> list[float]:
    """The scores of all documents in their order, each of which must be there once."""
    assert sorted(row["index"] for row in rows) == list(range(len(TEXTS)))
    return [row[name] for row in sorted(rows, key=lambda row: row["index"])]


def test_open_webui(served: Served, scores: list[float]) -> None:
    body = {"model": "reranker", "query": QUERY, "documents": TEXTS, "top_n": len(TEXTS)}
    answer = post(served, "/v1/rerank", body, Authorization="Bearer ", X_OpenWebUI_User_Name="x")
    ranked = sorted(answer["results"], key=lambda row: row["index"])
    assert [row["relevance_score"] for row in ranked] == pytest.approx(scores)


@pytest.mark.parametrize("field", ["documents", "texts"])
def test_dify_openai_compatible_plugin(field: str, served: Served, scores: list[float]) -> None:
    body = {"model": "any", "query": QUERY, field: TEXTS, "top_n": len(TEXTS)}
    results = post(served, "/v1/rerank", body, Authorization="")["results"]
    assert by_position(results, "relevance_score") == pytest.approx(scores)


def test_dify_plugin_sdk(served: Served, scores: list[float]) -> None:
    body = {"model": "any", "query": QUERY, "documents": TEXTS, "top_n": None, "return_documents": True}
    results = post(served, "/v1/rerank", body, Authorization="Bearer None")["results"]
    assert by_position(results, "relevance_score") == pytest.approx(scores)
    for row in results:
        document = row["document"]
        assert (document["text"] if isinstance(document, dict) else document) == TEXTS[row["index"]]


def test_ragflow_huggingface(served: Served, scores: list[float]) -> None:
    body = {"query": QUERY, "texts": TEXTS, "raw_scores": False, "truncate": True}
    rows = post(served, "/rerank", body)
    assert by_position(rows, "score") == pytest.approx(scores)


def test_ragflow_openai_compatible_and_jina(served: Served, scores: list[float]) -> None:
    body = {"model": "any", "query": QUERY, "documents": TEXTS, "top_n": len(TEXTS)}
    for path in ("/rerank", "/v1/rerank"):
        answer = post(served, path, body, Authorization="Bearer x")
        assert by_position(answer["results"], "relevance_score") == pytest.approx(scores)
        assert answer["usage"]["total_tokens"] > 0
        assert all(0 <= row["relevance_score"] <= 1 for row in answer["results"])


def test_ragflow_xinference(served: Served, scores: list[float]) -> None:
    body = {
        "model": "any", "query": QUERY, "return_documents": "true", "return_len": "true", "documents": TEXTS,
    }  # fmt: skip
    answer = post(served, "/v1/rerank", body)
    assert by_position(answer["results"], "relevance_score") == pytest.approx(scores)
    tokens = answer["meta"]["tokens"]
    assert tokens["input_tokens"] + tokens["output_tokens"] == answer["usage"]["total_tokens"]


def test_ragflow_nvidia(served: Served) -> None:
    body = {
        "model": "any", "query": {"text": QUERY}, "passages": [{"text": text} for text in TEXTS],
        "truncate": "END", "top_n": len(TEXTS),
    }  # fmt: skip
    by_position(post(served, "/v1/ranking", body)["rankings"], "logit")


def test_milvus_tei(served: Served, scores: list[float]) -> None:
    body = {"query": QUERY, "texts": TEXTS, "truncate": True, "truncation_direction": "Right"}
    assert by_position(post(served, "/rerank", body), "score") == pytest.approx(scores)


def test_milvus_vllm(served: Served, scores: list[float]) -> None:
    body = {"query": QUERY, "documents": TEXTS, "truncate_prompt_tokens": -1}
    assert by_position(post(served, "/rerank", body)["results"], "relevance_score") == pytest.approx(scores)


def test_weaviate_reranker_transformers(served: Served, scores: list[float]) -> None:
    assert call(f"{served.url}/.well-known/ready")[0] == 204
    assert json.loads(call(f"{served.url}/meta")[1])["model"]
    answer = post(served, "/rerank", {"query": QUERY, "documents": TEXTS, "property": ""})
    assert answer["query"] == QUERY
    assert [row["document"] for row in answer["scores"]] == TEXTS
    assert [row["score"] for row in answer["scores"]] == pytest.approx(scores)
    assert "error" not in answer


def test_elasticsearch_hugging_face_service(served: Served, scores: list[float]) -> None:
    rows = post(served, "/rerank", {"texts": TEXTS, "query": QUERY, "return_text": True, "top_n": 2})
    assert len(rows) == 2
    for row in rows:
        assert row["text"] == TEXTS[row["index"]]
        assert row["score"] == pytest.approx(scores[row["index"]])


def test_opensearch_connector_with_coheres_functions(served: Served, scores: list[float]) -> None:
    body = {"documents": TEXTS, "query": QUERY, "model": "any", "top_n": len(TEXTS)}
    results = post(served, "/v2/rerank", body, Authorization="Bearer x")["results"]
    assert by_position(results, "relevance_score") == pytest.approx(scores)


def test_librechat_jina(served: Served) -> None:
    body = {
        "model": "jina-reranker-v2-base-multilingual", "query": QUERY, "top_n": 2, "documents": TEXTS,
        "return_documents": True,
    }  # fmt: skip
    results = post(served, "/v1/rerank", body)["results"]
    assert [row["document"]["text"] for row in results] == [TEXTS[row["index"]] for row in results]


def test_n8n_azure_node(served: Served, scores: list[float]) -> None:
    body = {"model": "any", "query": QUERY, "documents": TEXTS, "top_n": len(TEXTS)}
    results = post(served, "/v1/rerank", body, api_key="any")["results"]
    assert by_position(results, "relevance_score") == pytest.approx(scores)


def test_llama_cpp_with_texts(served: Served, scores: list[float]) -> None:
    for path in ("/reranking", "/v1/reranking", "/llamacpp/v1/rerank"):
        assert by_position(post(served, path, {"query": QUERY, "texts": TEXTS}), "score") == pytest.approx(
            scores
        )
        results = post(served, path, {"query": QUERY, "documents": TEXTS})["results"]
        assert by_position(results, "relevance_score") == pytest.approx(scores)


def test_a_document_that_was_cut_is_named_in_the_answer_of_coheres_api(served: Served) -> None:
    answer = post(served, "/v2/rerank", {"model": "any", "query": QUERY, "documents": TEXTS})
    [warning] = answer["meta"]["warnings"]
    assert warning.startswith("truncated to what the model reads: document 4 (")


def test_hugging_faces_sagemaker_container(served: Served, scores: list[float]) -> None:
    rows = post(served, "/invocations", {"query": QUERY, "texts": TEXTS})
    assert by_position(rows, "score") == pytest.approx(scores)


def test_tei_is_described_as_its_clients_read_it(served: Served) -> None:
    info = json.loads(call(f"{served.url}/info")[1])
    assert set(info["model_type"]) == {"reranker"}
    assert info["max_input_length"] == 64


def test_models_are_listed(served: Served) -> None:
    [model] = json.loads(call(f"{served.url}/v1/models")[1])["data"]
    assert model["object"] == "model"
    answer = post(served, "/v1/rerank", {"query": QUERY, "documents": TEXTS})
    assert answer["model"] == model["id"]
