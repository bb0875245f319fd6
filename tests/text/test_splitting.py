from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_text_splitters import RecursiveCharacterTextSplitter

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text import split_documents

TEXTS = st.lists(
    st.sampled_from(["a", "wörd", "東京", "🎉", " ", "  ", "\n", "\n\n", "\t", ". "]), max_size=80
).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS.filter(str.strip), size=st.integers(2, 30), data=st.data())
def test_passages_and_starts_are_those_of_langchains_splitter(
    text: str, size: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    splitter = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=overlap, add_start_index=True)
    passages = split_documents([Document("a", text)], chunk_size=size, chunk_overlap=overlap)
    assert [(p.text, p.metadata["start"]) for p in passages] == [
        (chunk.page_content, chunk.metadata["start_index"]) for chunk in splitter.create_documents([text])
    ]
    assert all(text[p.metadata["start"] : p.metadata["end"]] == p.text for p in passages)


def test_default_sizes_are_500_and_100() -> None:
    text = " ".join(str(number) for number in range(1000))
    expected = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=100).split_text(text)
    assert [p.text for p in split_documents([Document("a", text)])] == expected


def test_short_text_is_stripped_as_the_splitter_does() -> None:
    (passage,) = split_documents([Document("a", "  short \n")])
    assert (passage.text, passage.metadata) == ("short", {"start": 2, "end": 7})


def test_passages_are_numbered_from_one_within_each_document_and_keep_the_title() -> None:
    passages = split_documents(
        [Document("a", "one\n\ntwo", "Title"), Document("b", "three")], chunk_size=5, chunk_overlap=0
    )
    assert [(p.id, p.text, p.title) for p in passages] == [
        ("a#1", "one", "Title"),
        ("a#2", "two", "Title"),
        ("b#1", "three", ""),
    ]


def test_metadata_is_extended_and_the_document_left_alone() -> None:
    metadata = {"source": "a.txt", "start": "mine"}
    passages = split_documents([Document("a", "text", metadata=MappingProxyType(metadata))])
    assert passages[0].metadata == {"source": "a.txt", "start": 0, "end": 4}
    assert metadata == {"source": "a.txt", "start": "mine"}


def test_passages_of_a_part_have_their_place_in_the_whole() -> None:
    whole = "first paragraph\n\nsecond paragraph\n\nthird"
    part = Document("a#char=17", whole[17:], metadata={"start": 17})
    passages = split_documents([part], chunk_size=20, chunk_overlap=0)
    assert [whole[p.metadata["start"] : p.metadata["end"]] for p in passages] == ["second paragraph", "third"]
    assert [p.text for p in passages] == ["second paragraph", "third"]


@pytest.mark.parametrize("start", ["17", True, 1.5, None])
def test_start_that_is_no_whole_number_is_no_place(start: object) -> None:
    (passage,) = split_documents([Document("a", "text", metadata={"start": start})])
    assert passage.metadata["start"] == 0


@pytest.mark.parametrize("size", [1, 500])
@pytest.mark.parametrize("text", ["", " ", "\n\n\t\n"])
def test_white_space_gives_no_passages(text: str, size: int) -> None:
    assert split_documents([Document("a", text)], chunk_size=size, chunk_overlap=0) == []


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (100, 100), (50, 100), (100, -1)])
def test_impossible_sizes_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(InputError, match=r"chunk_\w+ must be at least"):
        split_documents([Document("a", "text")], chunk_size=size, chunk_overlap=overlap)
