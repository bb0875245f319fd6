from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.text.passages import read_passages


def read(text: str) -> list[tuple[str, str]]:
    return [(passage.id, passage.text) for passage in read_passages(text.encode())]


@pytest.mark.parametrize("indent", [None, 2])
def test_items_of_a_json_array_are_candidates(indent: int | None) -> None:
    items = ["First.", {"id": "b", "text": "Second.", "title": "Two", "year": 2020}, {"text": "Third\nline."}]
    first, second, third = read_passages(f"\n {json.dumps(items, indent=indent)}\n".encode())
    assert (first.id, first.text) == ("1", "First.")
    assert (second.id, second.title, second.metadata["year"]) == ("b", "Two", 2020)
    assert (third.id, third.text) == ("standard input[3]", "Third\nline.")


def test_a_json_array_in_a_file_is_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    for name in ("a.json", "a.txt", "a"):
        (tmp_path / name).write_bytes(b'\xef\xbb\xbf["one", "two"]')
        assert [passage.text for passage in read_passages(tmp_path / name)] == ["one", "two"]


def test_blank_items_are_passed_over() -> None:
    assert read('["", "two", {"text": " "}, "four"]') == [("2", "two"), ("4", "four")]


@pytest.mark.parametrize(
    "line", ["[1] Smith, 2020.", "[citation needed]", "[link](https://example.org)", "[[page]]"]
)
def test_a_line_in_brackets_is_a_plain_line(line: str) -> None:
    assert read(f"{line}\nAnother.") == [("1", line), ("2", "Another.")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('["one", "two",]', "is not valid JSON"),
        ('["one"', "is not valid JSON"),
        ('["one"]\n["two"]', "is not valid JSON"),
        ('["one", 2]', r"input\[2\] must be a JSON object"),
        ('["one", ["two"]]', r"input\[2\] must be a JSON object"),
        ('[{"id": 1}]', r"input\[1\] needs a string in 'text'"),
        ("[]", "holds no passage"),
        ('["", " "]', "holds no passage"),
        ('["a", ' + "[" * 100_000, "is not valid JSON"),
    ],
)
def test_an_array_that_cannot_be_used_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read(text)


def test_json_lines_and_plain_lines_are_told_apart() -> None:
    assert read('{"text": "one"}\n{"id": 7, "text": "two"}') == [("standard input:1", "one"), ("7", "two")]
    assert read("one\n\ntwo\n") == [("1", "one"), ("3", "two")]
