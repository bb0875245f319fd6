from __future__ import annotations

import re
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_text_splitters import RecursiveCharacterTextSplitter

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text import split_documents
from crossrank.text.headings import bind_headings

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


LONG = "A long paragraph that has more words than fit into a passage of any of these sizes, by far. " * 5
HEADINGS = ("# One", "## Two words", "Title\n=====", "Other title\n---", "###### Six #")
OTHERS = (LONG, "Some text.", "- item\n- more", "    code", "#hashtag", "|a|b|\n|---|---|")
BLOCKS = st.lists(st.sampled_from([*HEADINGS, *OTHERS]), max_size=10)
LAST_LINE_IS_A_HEADING = re.compile(r"(^|\n)(#{1,6}( [^\n]*)?|[^\n]+\n(={2,}|-{2,}))\Z")


@settings(max_examples=300, deadline=None)
@given(
    blocks=BLOCKS, gap=st.sampled_from(["\n", "\n\n", "\n  \n\n"]), size=st.integers(250, 400), data=st.data()
)
def test_no_passage_ends_with_a_heading_that_has_text_below(
    blocks: list[str], gap: str, size: int, data: st.DataObject
) -> None:
    text = gap.join([*blocks, "The end."])
    overlap = data.draw(st.integers(0, size // 2))
    passages = split_documents([Document("a", text)], chunk_size=size, chunk_overlap=overlap)
    for passage in passages:
        assert not LAST_LINE_IS_A_HEADING.search(passage.text), passage.text
        assert (
            text[passage.metadata["start"] : passage.metadata["end"]] == passage.text == passage.text.strip()
        )
        assert len(passage.text) <= size
    covered = {i for p in passages for i in range(p.metadata["start"], p.metadata["end"])}
    assert not "".join(character for i, character in enumerate(text) if i not in covered).strip()


@pytest.mark.parametrize(
    "heading", ["# Baking", "## Baking ##", "Baking\n======", "Baking\n---", "# A\n\n## Baking"]
)
@pytest.mark.parametrize(
    "below", ["Bread. " * 30, "- bread\n" * 30, "Bread.\n" * 30], ids=["text", "list", "lines"]
)
def test_a_heading_begins_the_passage_of_the_text_below_it(heading: str, below: str) -> None:
    text = f"{'Tides come and go. ' * 5}\n\n{heading}\n\n{below}"
    first, second, *_ = split_documents([Document("a", text)], chunk_size=100, chunk_overlap=0)
    assert first.text == ("Tides come and go. " * 5).strip()
    assert second.text.startswith(f"{heading}\n\n{below[:7].strip()}")


def test_a_heading_of_several_megabytes_of_text_is_found_without_going_back() -> None:
    """By a pattern that goes back over what it has read, this would take hours."""
    for text in (
        "#" * 300_000,
        "a " * 300_000,
        "a\n" * 300_000,
        "\n" * 600_000,
        "# \n" * 200_000,
        "=\n" * 300_000,
    ):
        assert len(bind_headings(text)) == len(text)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_passages_shorter_than_a_heading_are_of_its_letters(size: int) -> None:
    passages = split_documents([Document("a", "# Heading\n\nText")], chunk_size=size, chunk_overlap=0)
    assert "".join("".join(p.text.split()) for p in passages) == "#HeadingText"
    assert all(p.text == p.text.strip() != "" for p in passages)


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
