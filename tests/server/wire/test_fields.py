"""Fields in the forms in which clients send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crossrank.server.request import RequestError
from crossrank.server.wire.fields import EmptyError, Fields, parse_json


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (None, None), (0, None), (1, 1), (99, 99), ("3", 3), (2.0, 2),
    ],
)  # fmt: skip
def test_top_n_may_be_null_zero_too_large_or_a_string(sent: Any, expected: int | None) -> None:
    assert Fields({"top_n": sent}).top_n() == expected


def test_top_n_may_be_left_out() -> None:
    assert Fields({}).top_n() is None


@pytest.mark.parametrize("sent", [-1, 1.5, True, "many", "²", [], {}, float("inf"), "-2"])
def test_a_top_n_that_is_no_number_from_0_is_named(sent: Any) -> None:
    with pytest.raises(RequestError, match="top_n must be a whole number"):
        Fields({"top_n": sent}).top_n()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(True, True), (False, False), ("true", True), ("False", False), (1, True), (0, False), (None, None)],
)
def test_flags_may_be_strings(sent: Any, expected: bool | None) -> None:
    for default in (True, False):
        assert Fields({"f": sent}).flag("f", default=default) is (default if expected is None else expected)


@pytest.mark.parametrize("sent", ["perhaps", 2, [], {}, [True]])
def test_a_flag_that_is_none_is_named(sent: Any) -> None:
    with pytest.raises(RequestError, match="f must be true or false"):
        Fields({"f": sent}).flag("f", default=True)


def test_documents_are_kept_as_sent_every_one_of_them_in_order() -> None:
    sent = ["a", "", "a", {"text": "b", "id": 7, "metadata": {"year": 2024}}]
    documents = Fields({"documents": sent}).documents()
    assert [document.text for document in documents] == ["a", "", "a", "b"]
    assert [document.sent for document in documents] == sent


def test_fields_to_rank_by_are_one_text() -> None:
    document = {"title": "Bread", "body": "Bakers bake.", "year": 2024}
    for rank_fields, text in [
        (["body"], "Bakers bake."),
        (["title", "year"], "title: Bread\nyear: 2024"),
        (["year"], "year: 2024"),
    ]:
        assert Fields({"documents": [document]}).documents(rank_fields=rank_fields)[0].text == text
    with pytest.raises(RequestError, match=r"documents\[0\] has none of the fields to rank by, color"):
        Fields({"documents": [document]}).documents(rank_fields=["color"])


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (None, "documents must be a list; it is missing or null"),
        ("a", "documents must be a list; it is a string"),
        ([], "documents is empty"),
        (["a", None], r"documents\[1\] must be a string, or an object with a string in 'text'; it is null"),
        (["a", 5], r"documents\[1\] must be a string"),
        ([{"title": "a"}], r"documents\[0\] must be a string"),
        ([{"image": "https://example.org/a.png"}], r"documents\[0\] is an image; this server ranks texts"),
    ],
)
def test_a_document_without_a_text_is_named(documents: Any, expected: str) -> None:
    with pytest.raises(RequestError, match=expected) as caught:
        Fields({"documents": documents}, status=422).documents()
    assert caught.value.status == (400 if documents == [] else 422)


@pytest.mark.parametrize("query", ["", " \n", {"text": ""}])
def test_an_empty_query_is_refused(query: Any) -> None:
    with pytest.raises(EmptyError, match="query is empty"):
        Fields({"query": query}).query()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is not JSON"),
        (b'{"query": "half', "the body is not JSON"),
        (b"\xff\xfe\x00", "the body is not"),
        (b'{"query": "caf\xe9"}', "the body is not valid utf-8"),
        (b'{"top_n": NaN}', "NaN is not a JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 10_000, "the body is not JSON"),
    ],
)
def test_what_is_no_json_is_said(body: bytes, expected: str) -> None:
    with pytest.raises(RequestError, match=expected) as caught:
        parse_json(body)
    assert caught.value.status == 400


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_unicode_encodings_of_json_are_read(encoding: str) -> None:
    assert parse_json(json.dumps({"query": "Käse"}, ensure_ascii=False).encode(encoding)) == {"query": "Käse"}
