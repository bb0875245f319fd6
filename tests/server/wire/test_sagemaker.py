from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.server.request import RequestError, RerankAnswer, Result
from crossrank.server.wire.sagemaker import Invocation, SageMaker

PAIRS = [["Who bakes bread?", "Bakers bake bread."], ["Who bakes bread?", "A tide table."]]
TEXT = st.text(st.characters(exclude_categories=("Cs",)))


read = SageMaker().read


def pairs_of(invocation: Invocation) -> list[tuple[str, str]]:
    return [pair for request in invocation.requests for pair in request.pairs]


def written(invocation: Invocation, logits: Iterable[float]) -> bytes:
    """The answer where the model gives these logits, in the order of the pairs."""
    rest = iter(logits)
    return invocation.write(
        [
            RerankAnswer(
                request,
                [
                    Result(index, document, logit := next(rest), logit)
                    for index, document in enumerate(request.documents)
                ],
                "a model",
            )
            for request in invocation.requests
        ]
    )


def refused(body: bytes | str, content_type: str | None = None, accept: str | None = None) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(body, content_type, accept)
    return caught.value


@pytest.mark.parametrize("key", ["pairs", "text_pairs"])
def test_both_names_of_pairs_are_answered_with_scores_in_their_order(key: str) -> None:
    invocation = read(json.dumps({key: PAIRS}).encode())
    assert [list(pair) for pair in pairs_of(invocation)] == PAIRS
    assert json.loads(written(invocation, [7.5, -2.25])) == {"scores": [7.5, -2.25]}
    assert invocation.answer_type == "application/json"


def test_a_query_with_documents_is_answered_with_scores_in_their_order_and_results_best_first() -> None:
    body = {"query": "q", "documents": ["a", "b", {"text": "c", "id": 3}, "d"]}
    invocation = read(json.dumps(body).encode())
    assert pairs_of(invocation) == [("q", "a"), ("q", "b"), ("q", "c"), ("q", "d")]
    answer = json.loads(written(invocation, [1.0, 2.0, 5.0, 2.0]))
    assert answer["scores"] == [1.0, 2.0, 5.0, 2.0]
    assert [result["index"] for result in answer["results"]] == [2, 1, 3, 0], "ties keep their order"
    assert answer["results"][0] == {"index": 2, "score": 5.0}


def test_top_n_cuts_the_results_and_documents_come_back_as_they_were() -> None:
    body = {"query": "q", "documents": ["a", {"text": "c", "id": 3}], "top_n": 1, "return_documents": True}
    answer = json.loads(written(read(json.dumps(body).encode()), [1.0, 5.0]))
    assert answer["scores"] == [1.0, 5.0]
    assert answer["results"] == [{"index": 1, "score": 5.0, "document": {"text": "c", "id": 3}}]


def test_each_json_line_is_a_request_with_a_line_of_answer() -> None:
    lines = [{"pairs": PAIRS}, {"pairs": []}, {"query": "q", "documents": ["a\u2028b"]}]
    body = "\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n\n"
    # The toolkit puts application/json where a caller accepts anything.
    invocation = read(body.encode(), "application/jsonlines", "application/json")
    assert invocation.answer_type == "application/jsonlines"
    answers = [json.loads(line) for line in written(invocation, [1.0, 2.0, 3.0]).decode().splitlines()]
    assert [answer["scores"] for answer in answers] == [[1.0, 2.0], [], [3.0]]


def test_csv_has_a_query_and_a_passage_a_line() -> None:
    body = 'q,"a, ""quoted""\nover two lines"\n\nq2,b\n'
    invocation = read(body.encode(), "text/csv", "text/csv")
    assert pairs_of(invocation) == [("q", 'a, "quoted"\nover two lines'), ("q2", "b")]
    assert written(invocation, [0.5, 1e-20]) == b"0.5\n1e-20\n"
    assert invocation.answer_type == "text/csv"


@given(st.lists(st.tuples(TEXT, TEXT)))
def test_any_texts_come_through_json_as_they_are(pairs: list[tuple[str, str]]) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"pairs": pairs}, ensure_ascii=ascii_only).encode()
        assert pairs_of(read(body)) == pairs


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json; charset=utf-8", '{"pairs": [["é", "ü"]]}'.encode()),
        ('Application/JSON;charset="ISO-8859-1"', '{"pairs": [["é", "ü"]]}'.encode("latin-1")),
        ("text/csv; header=absent; charset=utf-16", "é,ü".encode("utf-16")),
        ("", '\ufeff{"pairs": [["é", "ü"]]}'.encode()),
        ("application/json", '\ufeff{"pairs": [["é", "ü"]]}'),
    ],
)
def test_a_charset_is_heeded(content_type: str, body: bytes | str) -> None:
    assert pairs_of(read(body, content_type)) == [("é", "ü")]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html, application/json;q=0.9, */*;q=0.1", "application/json"),
        ("application/x-ndjson", "application/jsonlines"),
        ("application/json;q=0, text/csv", "text/csv"),
    ],
)
def test_accept_decides_the_form_of_the_answer(accept: str | None, expected: str) -> None:
    assert read(b'{"pairs": []}', None, accept).answer_type == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is not JSON"),
        (b"not json", "the body is not JSON: Expecting value"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"pairs": [["\xff", "b"]]}', "not valid utf-8"),
        (b"[]", "must be a JSON object"),
        (b"{}", "it holds nothing"),
        (b'{"inputs": []}', "'inputs' is not known"),
        (b'{"pairs": [], "text_pairs": []}', "either pairs or a query"),
        (b'{"pairs": [], "top_n": 1}', "it holds pairs, top_n"),
        (b'{"pairs": "ab"}', "pairs must be a list"),
        (b'{"pairs": ["ab"]}', 'pairs[0] must be two strings, [query, passage]; it is "ab"'),
        (b'{"pairs": [["a", "b"], ["a"]]}', 'pairs[1] must be two strings, [query, passage]; it is ["a"]'),
        (b'{"text_pairs": [["a", null]]}', 'text_pairs[0] must be two strings, [query, passage]; it is ["a"'),
        (b'{"query": "a"}', "documents must be a list of strings; it is missing"),
        (b'{"documents": ["a"]}', "it holds documents"),
        (b'{"query": null, "documents": []}', "query must be a string"),
        (b'{"query": "a", "documents": ["b", null]}', "documents[1] must be a string"),
        (b'{"query": "a", "documents": [], "top_n": 0}', "top_n must be a whole number"),
        (b'{"query": "a", "documents": [], "top_n": true}', "top_n must be a whole number"),
        (b'{"query": "a", "documents": [], "return_documents": "no"}', "true or false"),
    ],
)
def test_what_is_wrong_with_a_json_request_is_said(body: bytes, expected: str) -> None:
    error = refused(body, "application/json")
    assert error.status == 400
    assert expected in str(error)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "expected"),
    [
        (b'{"pairs": []}\n{"pairs": [["a"]]}', "application/jsonlines", 400, "line 2: pairs[0]"),
        (b'{"pairs": []}\n{', "application/jsonlines", 400, "line 2 is not JSON"),
        (b"\n", "application/jsonlines", 400, "the body is empty"),
        (b"a,b\nc\n", "text/csv", 400, "line 2 has 1 columns"),
        (b'a,"b\n', "text/csv", 400, "is not CSV"),
        (b"a," + b"b" * 200_000, "text/csv", 400, "field larger than field limit (131072)"),
        (b"{}", "application/x-www-form-urlencoded", 415, "send application/json"),
        (b"{}", "application/json; charset=klingon", 415, "charset 'klingon' is not known"),
        (b"{}", "application/json; charset=zlib", 415, "charset 'zlib' is not known"),
    ],
)
def test_what_is_wrong_with_other_forms_is_said(
    body: bytes, content_type: str, status: int, expected: str
) -> None:
    csv.field_size_limit(131_072)  # the process's own: what reads tables raises it
    error = refused(body, content_type)
    assert error.status == status
    assert expected in str(error)


def test_an_answer_that_nobody_here_can_write_is_refused_before_the_work() -> None:
    error = refused(b'{"pairs": []}', None, "image/png")
    assert error.status == 406
    assert "accept application/json" in str(error)


def test_a_number_that_json_cannot_hold_never_leaves() -> None:
    invocation = read(b'{"pairs": [["a", "b"]]}')
    for number in (math.nan, math.inf):
        with pytest.raises(RequestError, match="not a number") as caught:
            written(invocation, [number])
        assert caught.value.status == 500


def test_half_a_character_in_a_document_goes_back_as_it_came() -> None:
    body = b'{"query": "q", "documents": [{"text": "a", "note": "\\ud83d"}], "return_documents": true}'
    answer = json.loads(written(read(body), [1.5]))
    assert answer["results"][0]["document"] == {"text": "a", "note": "\ud83d"}


@pytest.mark.parametrize("charset", ["\0", "base64", "nonsense", "x" * 10_000])
def test_a_charset_that_is_none_is_refused(charset: str) -> None:
    error = refused(b"{}", f"application/json; charset={charset}")
    assert error.status == 415
    assert "charset" in str(error)
