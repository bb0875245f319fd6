from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text import read_documents, split_documents

FRONT = """---
title: A title
date: 2026-03-01
at: 2026-03-01 10:30:00
tags: [a, b]
draft: false
2: two
---
"""


def read(folder: Path, text: str, **options: Any) -> list[Document]:
    (folder / "a.md").write_text(text, encoding="utf-8")
    return list(read_documents(folder / "a.md", name="n", **options))


def test_front_matter_becomes_title_and_metadata(tmp_path: Path) -> None:
    (document,) = read(tmp_path, FRONT + "# Heading\n\nBody.\n")
    assert (document.id, document.title, document.text) == ("n", "A title", "# Heading\n\nBody.\n")
    assert document.metadata == {
        "source": "n",
        "date": "2026-03-01",
        "at": "2026-03-01T10:30:00",
        "tags": ["a", "b"],
        "draft": False,
        "2": "two",
        "start": len(FRONT),
    }
    json.dumps(document.metadata)


def test_passages_after_front_matter_know_their_place_in_the_file(tmp_path: Path) -> None:
    text = FRONT + "Body.\n\nMore."
    passages = split_documents(read(tmp_path, text), chunk_size=6, chunk_overlap=0)
    assert [text[p.metadata["start"] : p.metadata["end"]] for p in passages] == ["Body.", "More."]


def test_parts_share_the_front_matter_and_count_from_the_file(tmp_path: Path) -> None:
    text = FRONT + "First.\n\nSecond."
    first, second = read(tmp_path, text, part_characters=9)
    assert (first.id, second.id) == ("n", f"n#char={len(FRONT) + 8}")
    assert (first.title, second.title) == ("A title", "A title")
    assert FRONT + first.text + second.text == text
    assert text[second.metadata["start"] :] == second.text


@pytest.mark.parametrize("end", ["---", "...", "---  "])
def test_front_matter_ends_at_dashes_or_dots(tmp_path: Path, end: str) -> None:
    (document,) = read(tmp_path, f"---\na: 1\n{end}\nBody")
    assert (document.text, document.metadata["a"]) == ("Body", 1)


def test_title_that_is_no_string_is_metadata(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "---\ntitle: 5\n---\nBody")
    assert (document.title, document.metadata["title"]) == ("", 5)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "block",
    [
        "a: [1\n---\n",
        "no mapping\n---\n",
        "a: 1\n",
        "date: 2026-13-45\n---\n",
        "a: " + "[" * 5000 + "\n---\n",
        "n: " + "9" * 5000 + "\n---\n",
        "n: 0x" + "f" * 5000 + "\n---\n",
        "a: !!python/object/apply:os.system [exit]\n---\n",
        "? [a]\n: b\n---\n",
        BOMB + "---\n",
        "a: " + "x" * 70_000 + "\n---\n",
        "---\n",
    ],
    ids=range(12),
)
def test_malformed_front_matter_is_text(tmp_path: Path, block: str) -> None:
    text = f"---\n{block}Body"
    (document,) = read(tmp_path, text)
    assert (document.text, document.title, document.metadata) == (text, "", {"source": "n"})


def test_rule_within_the_text_is_no_front_matter(tmp_path: Path) -> None:
    text = "Text.\n---\na: 1\n---\n"
    assert [document.text for document in read(tmp_path, text)] == [text]


def test_lone_surrogate_in_front_matter_is_replaced(tmp_path: Path) -> None:
    (document,) = read(tmp_path, '---\na: "\\uD800"\n---\nBody')
    assert document.metadata["a"] == "\ufffd"


def test_numbers_that_json_does_not_have_are_nothing(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "---\na: .nan\nb: [1.5, -.inf]\n---\nBody")
    assert (document.text, document.metadata["a"], document.metadata["b"]) == ("Body", None, [1.5, None])


def test_front_matter_alone_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n holds no text"):
        read(tmp_path, FRONT)
