from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.notices import texts_to

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text import read_documents


def read(folder: Path, page: str | bytes, **options: Any) -> Document:
    (folder / "a.html").write_bytes(page.encode() if isinstance(page, str) else page)
    (document,) = read_documents(folder / "a.html", name="n", **options)
    return document


@pytest.mark.parametrize("suffix", [".html", ".htm", ".xhtml"])
def test_page_is_title_and_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE html><html><head><title> A\n title </title></head>'
        "<body><p>Text.</p></body></html>"
    )
    (document,) = read_documents(path, name="n")
    assert (document.id, document.title, document.text) == ("n", "A title", "Text.")
    assert document.metadata == {"source": "n"}


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("<div><div>one</div>two</div>", "one\ntwo"),
        ("<h1>Head</h1><p>one<p>two", "Head\n\none\n\ntwo"),
        ("<ul><li>one<li>two</ul>three", "one\ntwo\n\nthree"),
        ("o<b>n</b>e <i> two</i>", "one two"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("  one \n\t two&nbsp; three ", "one two three"),
        ("<pre>\n one\r\n   <b>two</b>\n</pre>three", " one\n   two\n\nthree"),
        ("<table><tr><td>1<td>2<tr><th>3</th><th>4</th></table>", "1 2\n3 4"),
        ("a &lt;b&gt; &eacute; &#x1F389;", "a <b> é 🎉"),
        ("one<hr>two<p>three</div></p>four", "one\ntwo\n\nthree\n\nfour"),
        ("a &amp b <p>c", "a & b\n\nc"),
        ("<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>", "漢字"),
    ],
)
def test_blocks_are_lines_and_inline_elements_are_not(tmp_path: Path, page: str, text: str) -> None:
    assert read(tmp_path, page).text == text


def test_what_a_browser_does_not_show_is_dropped(tmp_path: Path) -> None:
    page = (
        "<style>x</style><script>if (a < b) { '<p>x</p>' }</script><!-- x --><template><p>x</p></template>"
        "<noscript>x</noscript><p>shown</p><![CDATA[x]]>"
    )
    assert read(tmp_path, page).text.startswith("shown")
    assert read(tmp_path, page.replace("<![CDATA[x]]>", "")).text == "shown"


def test_element_that_never_ends_hides_no_more_than_it_is_in(tmp_path: Path) -> None:
    assert read(tmp_path, "<div><noscript>x<p>x</div><p>shown</p>").text == "shown"


def test_first_title_counts(tmp_path: Path) -> None:
    document = read(tmp_path, "<title>First</title><title>Second</title><p>text</p>")
    assert (document.title, document.text) == ("First", "text")


def test_title_of_a_drawing_is_not_the_page_s(tmp_path: Path) -> None:
    document = read(tmp_path, "<p>text<svg><title>icon</title></svg></p>")
    assert (document.title, document.text) == ("", "text")


@pytest.mark.parametrize(
    "page",
    [
        "<p>Grüße</p>".encode(),
        "<p>Grüße</p>".encode("utf-8-sig"),
        "<p>Grüße</p>".encode("utf-16"),
        "<p>Grüße</p>".encode("cp1252"),
        '<meta charset="iso-8859-2"><p>Grüße</p>'.encode("iso-8859-2"),
        '<meta http-equiv="Content-Type" content="text/html; charset=cp437"><p>Grüße</p>'.encode("cp437"),
        '<?xml version="1.0" encoding="utf-8"?><p>Grüße</p>'.encode(),
        '<meta charset="utf-16"><p>Grüße</p>'.encode(),
        '<meta charset="no-such"><p>Grüße</p>'.encode(),
        '<meta charset="base64"><p>Grüße</p>'.encode(),
    ],
    ids=range(10),
)
def test_charset_is_that_of_the_mark_or_the_declaration_else_utf8(tmp_path: Path, page: bytes) -> None:
    notices: list[str] = []
    assert read(tmp_path, page, notify=texts_to(notices)).text == "Grüße"
    assert notices == []


def test_bytes_that_are_not_as_declared_are_replaced_and_reported(tmp_path: Path) -> None:
    notices: list[str] = []
    document = read(tmp_path, '<meta charset="utf-8">é'.encode() + b"\xff", notify=texts_to(notices))
    assert document.text == "é\ufffd"
    assert notices == ["n holds bytes that are not utf-8; they were read as U+FFFD"]


@pytest.mark.parametrize("page", ["<div>" * 20_000 + "x", "<b><i>" * 20_000 + "x", "<p>" * 20_000 + "x"])
def test_deep_nesting_is_survived(tmp_path: Path, page: str) -> None:
    assert read(tmp_path, page).text == "x"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("junk", ["<a ", "<a href=x", "<!--", "<a b='"])
def test_tags_that_never_end_do_not_take_forever(tmp_path: Path, junk: str) -> None:
    assert read(tmp_path, "<p>text</p>" + junk * 50_000).text.startswith("text")


def test_page_cut_off_within_a_tag_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "<p>text</p><![n").text.startswith("text")


@pytest.mark.parametrize(
    "page", [b"", b"<html><title>T</title><body><br></body></html>", b"<script>x</script>"]
)
def test_page_without_text_is_refused(tmp_path: Path, page: bytes) -> None:
    with pytest.raises(InputError, match=r"^n holds no text$"):
        read(tmp_path, page)


def test_binary_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^n is not text"):
        read(tmp_path, b"<p>\0\0</p>")


def test_page_of_more_than_fifty_megabytes_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.html").open("wb") as file:
        file.truncate(50_000_001)
    with pytest.raises(InputError, match="more than 50 MB; split it"):
        list(read_documents(tmp_path / "a.html", name="n"))


def test_long_page_comes_in_parts_of_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<title>T</title><p>one</p><p>two</p>")
    parts = list(read_documents(tmp_path / "a.html", name="n", part_characters=6))
    assert [(p.id, p.title, p.text) for p in parts] == [("n", "T", "one\n\n"), ("n#char=5", "T", "two")]
