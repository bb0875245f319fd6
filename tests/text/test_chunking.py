from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_text_splitters import RecursiveCharacterTextSplitter

from crossrank.text.chunking import chunks

WORDS_AND_GAPS = st.sampled_from(
    ["a", "wörd", "東京", "🎉", " ", "  ", "\n", "\n\n", "\n\n\n", "\r\n", "\t", ". "]
)
TEXTS = st.lists(WORDS_AND_GAPS, max_size=120).map("".join) | st.text(max_size=200)


@settings(max_examples=500, deadline=None)
@given(text=TEXTS, size=st.integers(1, 40), data=st.data())
def test_chunks_are_those_of_langchains_splitter(text: str, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    splitter = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=overlap)
    assert list(chunks(text, size, overlap)) == splitter.split_text(text)


def test_paragraphs_that_fit_together_stay_together() -> None:
    assert list(chunks("one\n\ntwo\n\nthree", size=10, overlap=0)) == ["one\n\ntwo", "three"]


def test_only_a_paragraph_that_is_too_long_is_cut_at_its_lines_and_words() -> None:
    text = "short one\n\na line\na longer line\n\nshort two"
    assert list(chunks(text, size=10, overlap=0)) == ["short one", "a line", "a longer", "line", "short two"]


@pytest.mark.parametrize("unit", ["x", "\n", " x", "x\n\n"])
def test_megabytes_without_a_good_place_to_cut_take_time_in_proportion(unit: str) -> None:
    # Work that grew with the square of the length would not end before the test's time is over.
    text = unit * 2_000_000
    kept = sum(len("".join(chunk.split())) for chunk in chunks(text, size=500, overlap=0))
    assert kept == len("".join(text.split()))
