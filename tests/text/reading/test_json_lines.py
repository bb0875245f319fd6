from __future__ import annotations

from pathlib import Path

import pytest
from support.notices import texts_to

from crossrank.errors import InputError
from crossrank.text import read_documents


def test_records_before_a_malformed_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"id": "x", "text": "two"}\n{"text": "cut')
    documents = read_documents(tmp_path / "a.jsonl", name="n")
    assert [next(documents).id, next(documents).id] == ["n:1", "x"]
    with pytest.raises(InputError, match=r"^n:3 is not valid JSON"):
        next(documents)


def test_record_longer_than_a_part_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one two three"}\n')
    (document,) = read_documents(tmp_path / "a.jsonl", name="n", part_characters=3)
    assert document.text == "one two three"


def test_bytes_and_records_that_are_left_out_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": ""}\n{"text": "caf\xe9"}\n')
    notices: list[str] = []
    (document,) = read_documents(tmp_path / "a.jsonl", name="n", notify=texts_to(notices))
    assert document.text == "caf\ufffd"
    assert notices == [
        "n holds bytes that are not UTF-8; they were read as U+FFFD",
        "n:1 holds no text",
    ]


def test_id_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "one"}\n{"id": "1", "text": "two"}')
    with pytest.raises(InputError, match="two documents have the id '1'"):
        list(read_documents(tmp_path / "a.jsonl"))


@pytest.mark.parametrize("content", ["", " \n\n"])
def test_file_without_records_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(InputError, match=r"^n holds no text$"):
        list(read_documents(tmp_path / "a.jsonl", name="n"))
