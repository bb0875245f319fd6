"""What each API's request means, and the shape of its answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.answers import answered, sigmoid

from crossrank.server.request import RequestError
from crossrank.server.wire.catalogue import WIRES
from crossrank.server.wire.cohere import CohereV1, CohereV2
from crossrank.server.wire.infinity import Infinity
from crossrank.server.wire.jina import Jina
from crossrank.server.wire.json_format import JsonCall, JsonFormat
from crossrank.server.wire.llama_cpp import LlamaCpp
from crossrank.server.wire.nim import Nim
from crossrank.server.wire.pinecone import Pinecone
from crossrank.server.wire.shared import RERANK, RERANK_V1, RERANK_V2, Shared
from crossrank.server.wire.tei import TeiPredict, TeiRerank
from crossrank.server.wire.vllm import VllmRerank, VllmScore
from crossrank.server.wire.voyage import Voyage
from crossrank.server.wire.weaviate import Weaviate

ASK: dict[str, Any] = {"query": "q", "documents": ["a", "b", "c"]}
LOGITS = (-1.0, 2.0, 0.5)
ORDER = [1, 2, 0]


def read(wire: JsonFormat | Shared, payload: dict[str, Any]) -> JsonCall:
    return wire.read(json.dumps(payload).encode())


def answer(wire: JsonFormat | Shared, payload: dict[str, Any], **options: int) -> Any:
    return answered(read(wire, payload), *LOGITS, **options)


RESULTS = [CohereV1(), CohereV2(), Jina(), VllmRerank(), Infinity(), LlamaCpp(), RERANK, RERANK_V1, RERANK_V2]


@pytest.mark.parametrize("wire", RESULTS, ids=lambda wire: getattr(wire, "name", wire.paths[0]))
def test_results_are_sorted_complete_and_have_usage_and_meta(wire: JsonFormat | Shared) -> None:
    given = answer(wire, ASK)
    assert [row["index"] for row in given["results"]] == ORDER
    assert [row["relevance_score"] for row in given["results"]] == [sigmoid(LOGITS[i]) for i in ORDER]
    assert given["model"] == "served/model"
    assert given["usage"] == {"prompt_tokens": 30, "total_tokens": 30}
    assert given["meta"]["billed_units"] == {"search_units": 1}
    assert given["meta"]["tokens"] == {"input_tokens": 30, "output_tokens": 0}
    assert "warnings" not in given["meta"]
    assert [row["index"] for row in answer(wire, {**ASK, "top_n": 2})["results"]] == ORDER[:2]
    for all_of_them in (None, 0, 99):
        assert len(answer(wire, {**ASK, "top_n": all_of_them})["results"]) == 3


def test_truncated_documents_are_a_warning_in_meta() -> None:
    [warning] = answer(CohereV2(), ASK, truncated=7)["meta"]["warnings"]
    assert "document 0 (7 tokens not read), document 1 (7 tokens not read)" in warning
    many = {"query": "q", "documents": ["a"] * 30}
    call = read(CohereV2(), many)
    [warning] = answered(call, *range(30), truncated=1)["meta"]["warnings"]
    assert "document 9 (1 tokens not read) and 20 more" in warning


@pytest.mark.parametrize(
    ("wire", "asked", "expected"),
    [
        (CohereV2(), {}, None),
        (CohereV2(), {"return_documents": True}, {"text": "b"}),
        (CohereV1(), {}, None),
        (CohereV1(), {"return_documents": True}, {"text": "b"}),
        (Jina(), {}, {"text": "b"}),
        (Jina(), {"return_documents": "false"}, None),
        (VllmRerank(), {}, {"text": "b"}),
        (Infinity(), {}, None),
        (Infinity(), {"return_documents": True}, "b"),
        (Voyage(), {"return_documents": True}, "b"),
        (Voyage(), {}, None),
        (LlamaCpp(), {}, None),
        (Pinecone(), {}, {"text": "b"}),
        (Pinecone(), {"return_documents": False}, None),
        (RERANK, {}, {"text": "b"}),
        (RERANK, {"return_documents": False}, None),
        (RERANK_V1, {"return_documents": "true"}, {"text": "b"}),
    ],
)  # fmt: skip
def test_a_document_is_an_object_a_string_or_left_out_as_the_api_has_it(
    wire: JsonFormat | Shared, asked: dict[str, Any], expected: Any
) -> None:
    given = answer(wire, {**ASK, **asked})
    best = (given.get("data") or given["results"])[0]
    assert best.get("document") == expected
    assert ("document" in best) is (expected is not None)


def test_objects_come_back_with_all_their_fields() -> None:
    documents = [{"text": "a"}, {"text": "b", "id": "x", "metadata": {"n": 1}}, "c"]
    given = answer(Jina(), {"query": "q", "documents": documents})
    assert [row["document"] for row in given["results"]] == [documents[1], {"text": "c"}, {"text": "a"}]


def test_cohere_v1_ranks_by_fields_and_returns_the_whole_object() -> None:
    documents = [{"title": t, "id": n} for n, t in enumerate("abc")]
    call = read(CohereV1(), {"query": "q", "documents": documents, "rank_fields": ["title"],
                             "return_documents": True})  # fmt: skip
    assert [document.text for document in call.requests[0].documents] == ["a", "b", "c"]
    assert answered(call, *LOGITS)["results"][0]["document"] == {"title": "b", "id": 1}


def test_voyage_answers_in_data_and_for_other_clients_in_results() -> None:
    given = answer(Voyage(), {**ASK, "top_k": 2, "truncation": True, "model": "rerank-2"})
    assert given["data"] == given["results"]
    assert [row["index"] for row in given["data"]] == ORDER[:2]
    assert given["usage"]["total_tokens"] == 30


def test_tei_answers_with_a_bare_list() -> None:
    ask = {"query": "q", "texts": ["a", "b", "c"]}
    expected = [{"index": i, "score": sigmoid(LOGITS[i])} for i in ORDER]
    assert answer(TeiRerank(), ask) == expected
    assert answer(TeiRerank(), {**ask, "top_n": 1, "truncation_direction": "Right"}) == expected[:1]
    raw = answer(TeiRerank(), {**ask, "raw_scores": True, "return_text": True})
    assert raw[0] == {"index": 1, "text": "b", "score": 2.0}


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["q", "a"], [{"score": sigmoid(-1.0), "label": "LABEL_0"}]),
        (
            [["q", "a"], ["q", "b"]],
            [[{"score": sigmoid(-1.0), "label": "LABEL_0"}], [{"score": sigmoid(2.0), "label": "LABEL_0"}]],
        ),
    ],
)
def test_tei_predicts_one_pair_or_several(inputs: Any, expected: Any) -> None:
    assert answer(TeiPredict(), {"inputs": inputs}) == expected


@pytest.mark.parametrize("inputs", [None, "a text", [["a text"]], [["q", 1]], [["q", "a"], "b"]])
def test_tei_predicts_nothing_but_pairs(inputs: Any) -> None:
    with pytest.raises(RequestError, match="inputs") as caught:
        read(TeiPredict(), {"inputs": inputs})
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "payload",
    [
        {"text_1": "q", "text_2": ["a", "b", "c"]},
        {"queries": ["q"], "documents": ["a", "b", "c"]},
        {"queries": ["q", "q", "r"], "items": ["a", "b", "c"]},
        {"data_1": ["q", "r", "q"], "data_2": ["a", "b", "c"]},
    ],
)
def test_vllm_scores_in_the_order_of_the_texts(payload: dict[str, Any]) -> None:
    given = answer(VllmScore(), payload)
    assert [(row["index"], row["score"]) for row in given["data"]] == [
        (index, sigmoid(logit)) for index, logit in enumerate(LOGITS)
    ]
    assert given["object"] == "list"
    assert given["usage"]["total_tokens"] == 30
    raw = answer(VllmScore(), {**payload, "use_activation": False})
    assert [row["score"] for row in raw["data"]] == list(LOGITS)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"text_1": "q"}, "send the texts to compare as text_1 and text_2"),
        ({"text_1": ["q", "r"], "text_2": ["a", "b", "c"]}, "text_1 has 2 texts and text_2 has 3"),
        ({"text_1": "q", "text_2": []}, "text_2 is empty"),
        ({"text_1": "q", "text_2": ["a", None]}, r"text_2\[1\] must be a string"),
        ({"text_1": {"content": []}, "text_2": "a"}, "text_1 must be a string; it is an object"),
    ],
)
def test_texts_that_cannot_be_scored_are_named(payload: dict[str, Any], expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        read(VllmScore(), payload)


def test_nim_answers_with_logits() -> None:
    ask = {"query": {"text": "q"}, "passages": [{"text": t} for t in "abc"], "truncate": "END"}
    given = answer(Nim(), ask)
    assert given["rankings"] == [{"index": i, "logit": LOGITS[i]} for i in ORDER]
    assert len(answer(Nim(), {**ask, "top_n": 2})["rankings"]) == 2
    assert read(Nim(), {**ask, "truncate": "NONE"}).requests[0].truncate is False


def test_pinecone_answers_in_data_with_score() -> None:
    documents = [{"id": t, "text": t} for t in "abc"]
    ask = {"query": "q", "documents": documents, "rank_fields": ["text"], "parameters": {"truncate": "NONE"}}
    call = read(Pinecone(), {**ask, "top_n": 1})
    assert call.requests[0].truncate is False
    given = answered(call, *LOGITS)
    assert given["data"] == [{"index": 1, "score": sigmoid(2.0), "document": {"id": "b", "text": "b"}}]
    assert given["usage"] == {"rerank_units": 1}


def test_weaviate_answers_in_the_order_of_the_documents() -> None:
    given = answer(Weaviate(), {**ASK, "property": ""})
    assert given == {
        "query": "q",
        "scores": [
            {"document": d, "score": sigmoid(s)} for d, s in zip(ASK["documents"], LOGITS, strict=True)
        ],
    }


@pytest.mark.parametrize(
    ("asked", "wire"),
    [
        ({"use_activation": False}, VllmRerank()), ({"raw_scores": True}, Infinity()),
        ({"raw_scores": True}, LlamaCpp()), ({"use_activation": "false"}, RERANK_V1),
        ({"raw_scores": True}, RERANK),
    ],
)  # fmt: skip
def test_logits_are_answered_where_an_api_can_ask_for_them(
    asked: dict[str, Any], wire: JsonFormat | Shared
) -> None:
    assert answer(wire, {**ASK, **asked})["results"][0]["relevance_score"] == 2.0


@pytest.mark.parametrize(
    ("path", "payload", "name"),
    [
        (RERANK, ASK, "results"),
        (RERANK, {"query": "q", "texts": ["a"]}, "TEI rerank"),
        (RERANK, {"query": "q", "texts": ["a"], "raw_scores": False}, "TEI rerank"),
        (RERANK, {**ASK, "property": ""}, "Weaviate"),
        (RERANK, {**ASK, "rank_fields": ["text"]}, "Pinecone"),
        (RERANK, {**ASK, "top_k": None}, "Voyage"),
        (RERANK, {**ASK, "raw_scores": False}, "infinity"),
        (RERANK, {"query": {"text": "q"}, "passages": [{"text": "a"}]}, "NVIDIA NIM"),
        (RERANK_V1, ASK, "results"),
        (RERANK_V1, {"query": "q", "texts": ["a"]}, "results"),
        (RERANK_V1, {**ASK, "top_k": None, "truncation": True}, "Voyage"),
        (RERANK_V1, {**ASK, "rank_fields": ["text"]}, "Cohere v1"),
        (RERANK_V1, {**ASK, "max_chunks_per_doc": 10}, "Cohere v1"),
        (RERANK_V2, ASK, "Cohere v2"),
        (RERANK_V2, {"query": "q", "texts": ["a"]}, "Cohere v2"),
        (RERANK_V2, {**ASK, "use_activation": None}, "results"),
    ],
)
def test_a_shared_path_tells_apis_apart_by_the_body(path: Shared, payload: dict[str, Any], name: str) -> None:
    if "rank_fields" in payload:
        payload = {**payload, "documents": [{"text": "a"}]}
    assert read(path, payload).wire.name == name


def test_a_text_next_to_objects_that_are_ranked_by_fields_is_scored_as_it_is() -> None:
    payload = {"query": "q", "documents": ["a", {"title": "b"}], "rank_fields": ["title"]}
    assert [d.text for d in read(RERANK, payload).requests[0].documents] == ["a", "b"]


@pytest.mark.parametrize(
    ("wire", "payload", "status", "read_by_the_client"),
    [
        (RERANK_V2, {"query": "q"}, 400, lambda body: body["message"]),
        (RERANK_V1, {"query": "q", "documents": "a"}, 400, lambda body: body["detail"]),
        (RERANK, {"query": "q", "documents": "a"}, 400, lambda body: body["error"]["message"]),
        (RERANK, {"query": "q", "texts": "a"}, 422, lambda body: body["error"]),
        (RERANK, {"query": "q", "documents": 1, "property": ""}, 400, lambda body: body["error"]),
        (RERANK, [], 400, lambda body: body["message"]),
        (Pinecone(), {}, 400, lambda body: body["error"]["message"]),
        (TeiPredict(), {}, 422, lambda body: body["error"]),
    ],
)  # fmt: skip
def test_an_error_is_where_the_clients_of_the_api_look_for_it(
    wire: JsonFormat | Shared, payload: Any, status: int, read_by_the_client: Any
) -> None:
    with pytest.raises(RequestError) as caught:
        read(wire, payload)
    error = caught.value
    assert error.status == status
    body = (error.wire or wire).error(error)
    assert read_by_the_client(body) == str(error)


def test_tei_names_the_type_of_an_error() -> None:
    for error, name in [
        (RequestError(429, "busy"), "overloaded"),
        (RequestError(500, "broken"), "backend"),
        (RequestError(503, "loading"), "unhealthy"),
        (RequestError(413, "large"), "validation"),
    ]:
        assert TeiRerank().error(error) == {"error": str(error), "error_type": name}
    with pytest.raises(RequestError) as caught:
        read(TeiRerank(), {"query": "q", "texts": []})
    assert TeiRerank().error(caught.value)["error_type"] == "empty"
    assert caught.value.status == 400


NAMES = [
    *("query", "documents", "texts", "top_n", "top_k", "return_documents", "raw_scores", "truncate", "model"),
    *("rank_fields", "passages", "inputs", "text_1", "text_2", "property", "parameters", "use_activation"),
    *("max_tokens_per_doc", "truncation_side", "text"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.paths[0])
@given(payload=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6) | VALUES)
def test_whatever_json_comes_is_read_or_refused(wire: JsonFormat | Shared, payload: Any) -> None:
    refused: RequestError | None = None
    try:
        call = wire.read(json.dumps(payload).encode())
    except RequestError as error:
        refused = error
    if refused is not None:
        assert 400 <= refused.status < 500
        json.dumps((refused.wire or wire).error(refused), allow_nan=False)
        return
    for request in call.requests:
        assert isinstance(request.query, str)
        assert all(isinstance(document.text, str) for document in request.documents)
        assert request.top_n is None or request.top_n > 0


def test_no_path_belongs_to_two_formats() -> None:
    paths = [path for wire in WIRES for path in wire.paths]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("wire", [wire for wire in WIRES if isinstance(wire, JsonFormat)],
                         ids=lambda wire: wire.name)  # fmt: skip
def test_the_example_of_a_format_is_read_and_fits_its_schema(wire: JsonFormat) -> None:
    import jsonschema

    jsonschema.validate(wire.example, wire.schema)
    assert wire.read(json.dumps(wire.example).encode()).requests


@pytest.mark.parametrize(
    ("wire", "asked", "expected"),
    [
        (CohereV2(), {"max_tokens_per_doc": 100}, (100, False)),
        (CohereV2(), {"max_tokens_per_doc": None}, (None, False)),
        (Jina(), {"max_doc_length": 100}, (100, False)),
        (VllmRerank(), {"max_tokens_per_doc": 0}, (None, False)),
        (VllmRerank(), {"truncation_side": "left"}, (None, True)),
        (RERANK, {"truncation_side": "Left"}, (None, True)),
        (RERANK, {"truncate_prompt_tokens": -1}, (None, False)),
        (TeiRerank(), {"texts": ["a"], "truncation_direction": "Left"}, (None, True)),
        (TeiRerank(), {"texts": ["a"], "truncation_direction": "right"}, (None, False)),
    ],
)  # fmt: skip
def test_how_long_documents_are_cut_is_read(
    wire: JsonFormat | Shared, asked: dict[str, Any], expected: tuple[int | None, bool]
) -> None:
    [request] = read(wire, {**ASK, **asked}).requests
    assert (request.document_tokens, request.keep_end) == expected


@pytest.mark.parametrize(("sent", "expected"), [(64, 64), ("64", 64), (-1, None), (None, None)])
def test_vllms_limit_of_a_pair_is_read(sent: object, expected: int | None) -> None:
    asked = {**ASK, "truncate_prompt_tokens": sent}
    for wire in (VllmRerank(), RERANK):
        assert [request.pair_tokens for request in read(wire, asked).requests] == [expected]
    pairs = {"text_1": ["a", "b"], "text_2": ["c", "d"], "truncate_prompt_tokens": sent}
    assert [request.pair_tokens for request in read(VllmScore(), pairs).requests] == [expected] * 2
