from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.text.sentences import sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("Dr. J. Smith paid 3.50, e.g. for tea. OK.", ["Dr. J. Smith paid 3.50, e.g. for tea.", "OK."]),
        ("It cost approx. two pounds ... and more.", ["It cost approx. two pounds ... and more."]),
        ("In 1999. It rained.", ["In 1999.", "It rained."]),
        ("A heading\n\nA line\nwrapped.", ["A heading", "A line\nwrapped."]),
        ("Steps:\n1. Knead it.\n2. Bake it.", ["Steps:", "1. Knead it.", "2. Bake it."]),
        ("Add:\n- flour\n- water", ["Add:", "- flour", "- water"]),
        ("面包师烤面包。谁吃？我们！", ["面包师烤面包。", "谁吃？", "我们！"]),
        ("Das ist z.B. Brot. Gut.", ["Das ist z.B. Brot.", "Gut."]),
        (" \n ", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_would_say(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_long_parts_without_an_end_are_split_at_lines() -> None:
    lines = [f"{'word ' * 20}{number}" for number in range(6)]
    assert split("\n".join(lines)) == lines
    assert split("\n".join(lines[:2])) == ["\n".join(lines[:2])]


@given(st.text("ab1 .!?。\n-)", max_size=80))
def test_nothing_but_white_space_is_left_out(text: str) -> None:
    found = sentences(text)
    assert "".join("".join(split(text)).split()) == "".join(text.split())
    assert all(0 <= start < end <= len(text) for start, end in found)
    assert found == sorted(found)
