from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from crossrank.errors import InputError, MissingExtraError
from crossrank.text import load_documents


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["a.txt", "a.text", "a.md", "a.markdown", "a.rst", "a.log", "README", "A.TXT"]
)
def test_text_file_is_one_document_named_by_its_path(here: Path, name: str) -> None:
    (here / "folder").mkdir()
    (here / "folder" / name).write_text("Grüße", encoding="utf-8")
    (document,) = load_documents([f"folder/{name}"]).documents
    assert (document.id, document.text, document.title) == (f"folder/{name}", "Grüße", "")
    assert document.metadata == {"source": f"folder/{name}"}


def test_byte_order_mark_is_no_part_of_the_text(here: Path) -> None:
    (here / "a.txt").write_bytes(b"\xef\xbb\xbftext")
    (here / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "record"}')
    assert [d.text for d in load_documents(["a.txt", "b.jsonl"]).documents] == ["text", "record"]


def test_line_endings_read_as_python_reads_them(here: Path) -> None:
    (here / "a.txt").write_bytes(b"one\r\ntwo\rthree\nfour\r\r\n")
    (document,) = load_documents(["a.txt"]).documents
    with (here / "a.txt").open(encoding="utf-8", newline=None) as file:
        assert document.text == file.read()


def test_bytes_that_are_not_utf8_are_replaced_and_reported(here: Path) -> None:
    (here / "a.txt").write_bytes("café".encode("latin-1"))
    (here / "b.txt").write_text("fine")
    loaded = load_documents(["a.txt", "b.txt"])
    assert [d.text for d in loaded.documents] == ["caf\ufffd", "fine"]
    assert loaded.repaired == ("a.txt holds bytes that are not UTF-8; they were read as U+FFFD",)
    assert loaded.skipped == ()


def test_folder_is_read_sorted_with_subfolders_and_without_hidden_entries(here: Path) -> None:
    for name in [
        "docs/b.txt",
        "docs/a/z.md",
        "docs/c.txt",
        "docs/.hidden.txt",
        "docs/.git/config",
        "docs/a/.x/y.txt",
    ]:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    loaded = load_documents([Path("docs")])
    assert [d.id for d in loaded.documents] == ["docs/a/z.md", "docs/b.txt", "docs/c.txt"]
    assert loaded.skipped == ()


def test_symbolic_links_that_loop_or_dangle_are_survived(here: Path) -> None:
    (here / "docs" / "sub").mkdir(parents=True)
    (here / "docs" / "a.txt").write_text("text")
    (here / "docs" / "sub" / "up").symlink_to(here / "docs")
    (here / "docs" / "self.txt").symlink_to(here / "docs" / "self.txt")
    (here / "docs" / "gone.txt").symlink_to(here / "nowhere")
    loaded = load_documents(["docs"])
    assert [d.id for d in loaded.documents] == ["docs/a.txt"]
    assert [reason.split()[0] for reason in loaded.skipped] == ["docs/gone.txt", "docs/self.txt"]


def test_folder_behind_a_symbolic_link_is_read(here: Path) -> None:
    (here / "docs" / ".kept").mkdir(parents=True)
    (here / "docs" / ".kept" / "a.txt").write_text("text")
    (here / "docs" / "link").symlink_to(".kept")
    assert [d.id for d in load_documents(["docs"]).documents] == ["docs/link/a.txt"]


def test_file_reached_twice_is_read_once(here: Path) -> None:
    (here / "docs").mkdir()
    (here / "docs" / "a.txt").write_text("text")
    assert len(load_documents(["docs", "docs/a.txt", here / "docs"]).documents) == 1


def test_named_pipe_in_a_folder_is_skipped_rather_than_waited_for(here: Path) -> None:
    (here / "docs").mkdir()
    (here / "docs" / "a.txt").write_text("text")
    os.mkfifo(here / "docs" / "pipe")
    assert load_documents(["docs"]).skipped == ("docs/pipe is not a regular file",)


@pytest.mark.parametrize(("name", "content"), [("a.pdf", b"text"), ("a.txt", b"text\0"), ("a.jsonl", b"\0")])
def test_unreadable_file_is_skipped_in_a_folder_and_refused_by_name(
    here: Path, name: str, content: bytes
) -> None:
    (here / "docs").mkdir()
    (here / "docs" / name).write_bytes(content)
    (here / "docs" / "fine.txt").write_text("text")
    loaded = load_documents(["docs"])
    assert [d.id for d in loaded.documents] == ["docs/fine.txt"]
    assert len(loaded.skipped) == 1
    with pytest.raises(InputError, match=f"docs/{name}") as refused:
        load_documents([f"docs/{name}"])
    assert loaded.skipped == (str(refused.value),)


def test_refusal_of_a_file_type_names_the_supported_ones(here: Path) -> None:
    (here / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png.*\.png.*\.txt.*\.md.*\.pdf.*\.csv.*\.jsonl"):
        load_documents(["a.png"])


def test_old_word_file_is_refused_with_what_to_do(here: Path) -> None:
    (here / "a.doc").write_bytes(b"")
    with pytest.raises(InputError, match=r"Save it as \.docx$"):
        load_documents(["a.doc"])


def test_formats_are_read_side_by_side(here: Path) -> None:
    (here / "docs").mkdir()
    (here / "docs" / "a.csv").write_text("text\nrow\n")
    (here / "docs" / "b.html").write_text("<p>page</p>")
    (here / "docs" / "c.jsonl").write_text('{"text": "record"}')
    assert [d.text for d in load_documents(["docs"]).documents] == ["row", "page", "record"]


def test_gitignore_holds_in_folders(here: Path) -> None:
    (here / "docs").mkdir()
    (here / "docs" / ".gitignore").write_text("b.txt\n")
    (here / "docs" / "a.txt").write_text("text")
    (here / "docs" / "b.txt").write_text("text")
    loaded = load_documents(["docs"])
    assert ([d.id for d in loaded.documents], loaded.skipped) == (["docs/a.txt"], ())


def test_missing_extra_skips_a_file_in_a_folder_and_is_named_for_a_named_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "docx", None)
    (here / "docs").mkdir()
    (here / "docs" / "a.docx").write_bytes(b"")
    (here / "docs" / "b.txt").write_text("text")
    (reason,) = load_documents(["docs"]).skipped
    assert "docs/a.docx" in reason
    assert "pip install 'crossrank[docx]'" in reason
    with pytest.raises(MissingExtraError):
        load_documents(["docs/a.docx"])


def test_missing_path_is_named(here: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.txt does not exist"):
        load_documents(["nowhere.txt"])


@pytest.mark.parametrize("content", ["", " \n\t\n"])
def test_empty_file_is_skipped_with_a_reason(here: Path, content: str) -> None:
    (here / "empty.txt").write_text(content)
    (here / "full.txt").write_text("text")
    assert load_documents(["empty.txt", "full.txt"]).skipped == ("empty.txt holds no text",)


def test_nothing_to_read_is_refused_with_the_reasons(here: Path) -> None:
    (here / "docs").mkdir()
    with pytest.raises(InputError, match="nothing to read: no file was found"):
        load_documents(["docs"])
    for number in range(5):
        (here / "docs" / f"{number}.txt").touch()
    with pytest.raises(InputError, match=r"nothing to read: docs/0\.txt holds no text; .* and 2 more"):
        load_documents(["docs"])


def test_single_string_is_refused_rather_than_read_letter_by_letter() -> None:
    with pytest.raises(InputError, match=r"\[path\]"):
        load_documents("docs")


def test_json_lines_fields_become_the_document(here: Path) -> None:
    records = [
        {"id": "x", "text": "T", "title": "Title", "metadata": {"year": 1990}, "author": "A"},
        {"_id": 7, "page_content": "P"},
        {"contents": "C"},
        {"id": None, "text": "N", "metadata": {"source": "book"}},
    ]
    lines = [json.dumps(record) for record in records]
    (here / "a.jsonl").write_text("\n".join([*lines[:2], "", *lines[2:], ""]))
    first, second, third, fourth = load_documents(["a.jsonl"]).documents
    assert (first.id, first.text, first.title) == ("x", "T", "Title")
    assert first.metadata == {"source": "a.jsonl", "year": 1990, "author": "A"}
    assert (second.id, second.text, second.metadata) == ("7", "P", {"source": "a.jsonl"})
    assert (third.id, third.text) == ("a.jsonl:4", "C")
    assert (fourth.id, fourth.metadata) == ("a.jsonl:5", {"source": "book"})


def test_only_a_line_feed_ends_a_json_line(here: Path) -> None:
    (here / "a.ndjson").write_text('{"text": "one\u2028two\x85three"}\r\n{"text": "four"}', encoding="utf-8")
    assert [d.text for d in load_documents(["a.ndjson"]).documents] == ["one\u2028two\x85three", "four"]


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "cut',
        '["text"]',
        '{"body": "no text"}',
        '{"text": 3}',
        '{"text": "t", "title": ["no string"]}',
        '{"text": "t", "metadata": "no object"}',
        "[" * 100_000,
        '{"text": "t", "n": ' + "9" * 5000 + "}",
    ],
)
def test_malformed_json_line_is_refused_by_file_and_line(here: Path, line: str) -> None:
    (here / "docs").mkdir()
    (here / "docs" / "a.jsonl").write_text('{"text": "fine"}\n' + line)
    with pytest.raises(InputError, match=r"docs/a\.jsonl:2 ") as refused:
        load_documents(["docs"])
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_record_without_text_is_skipped_but_a_title_is_text(here: Path) -> None:
    (here / "a.jsonl").write_text('{"text": " "}\n{"text": "", "title": "Title"}')
    loaded = load_documents(["a.jsonl"])
    assert [d.content for d in loaded.documents] == ["Title\n"]
    assert loaded.skipped == ("a.jsonl:1 holds no text",)


def test_lone_surrogates_are_replaced_everywhere_and_pairs_kept(here: Path) -> None:
    (here / "a.jsonl").write_text(
        r'{"id": "\ud800", "text": "a\ud800b \ud83d\ude00 \\ud800", "title": "\udfff",'
        r' "\udc00": [{"x": "\ud800"}]}'
    )
    (document,) = load_documents(["a.jsonl"]).documents
    assert (document.id, document.title) == ("\ufffd", "\ufffd")
    assert document.text == "a\ufffdb 😀 \\ud800"
    assert document.metadata == {"source": "a.jsonl", "\ufffd": [{"x": "\ufffd"}]}


def test_file_name_that_is_not_utf8_gives_a_printable_id(here: Path) -> None:
    (here / "docs").mkdir()
    name = os.fsdecode(b"caf\xe9.txt")
    (here / "docs" / name).write_text("text")
    (document,) = load_documents(["docs"]).documents
    assert (document.id, document.text) == ("docs/caf\ufffd.txt", "text")


def test_id_given_twice_is_refused(here: Path) -> None:
    (here / "a.jsonl").write_text('{"id": 1, "text": "one"}\n{"id": "1", "text": "two"}')
    with pytest.raises(InputError, match="two documents have the id '1'"):
        load_documents(["a.jsonl"])
