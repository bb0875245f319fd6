from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from support.notices import texts_to
from support.pdf_files import pdf

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text import read_documents


def read(folder: Path, data: bytes, notices: list[str] | None = None) -> list[Document]:
    (folder / "a.pdf").write_bytes(data)
    return list(
        read_documents(folder / "a.pdf", name="n", notify=texts_to([] if notices is None else notices))
    )


def test_every_page_with_text_is_a_document_named_by_its_number(tmp_path: Path) -> None:
    notices: list[str] = []
    documents = read(tmp_path, pdf(b"First", b"", b"Gr\\374\\337e"), notices)
    assert [(d.id, d.text, d.title, d.metadata) for d in documents] == [
        ("n#page=1", "First", "", {"source": "n", "page": 1}),
        ("n#page=3", "Grüße", "", {"source": "n", "page": 3}),
    ]
    assert notices == ["n holds no text on page 2 of 3 pages"]


def test_title_and_author_are_those_of_the_document_information(tmp_path: Path) -> None:
    (document,) = read(tmp_path, pdf(b"Text", information=b"/Title (A  title) /Author (An author)"))
    assert document.title == "A title"
    assert document.metadata == {"source": "n", "author": "An author", "page": 1}


def test_scanned_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    notices: list[str] = []
    with pytest.raises(
        InputError, match=r"n holds no text \(scanned pages\? Run OCR first, such as ocrmypdf\)"
    ):
        read(tmp_path, pdf(b"", b""), notices)
    assert notices == []


def encrypted(folder: Path, data: bytes, password: str) -> bytes:
    (folder / "plain.pdf").write_bytes(data)
    writer = PdfWriter(clone_from=PdfReader(folder / "plain.pdf"))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    writer.write(folder / "encrypted.pdf")
    return (folder / "encrypted.pdf").read_bytes()


def test_encrypted_file_is_refused_unless_the_password_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^n is encrypted; save it without a password$"):
        read(tmp_path, encrypted(tmp_path, pdf(b"Text"), "secret"))
    assert [d.text for d in read(tmp_path, encrypted(tmp_path, pdf(b"Text"), ""))] == ["Text"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"\0" * 10_000,
        b"%PDF-1.4\n%%EOF",
        b"<html>not found</html>",
        pdf(b"Text")[:300],
        pdf(b"Text").replace(b"/Root 1 0 R", b"/Root 9 0 R").replace(b"/Catalog", b"/Catalok"),
        pdf(b"Text").replace(b"/Kids [4 0 R]", b"/Kids [9 0 R]"),
        pdf(b"Text").replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]"),
    ],
    ids=range(9),
)
def test_broken_file_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"^n ") as refused:
        read(tmp_path, data)
    assert "\n" not in str(refused.value)


def test_text_named_pdf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^n cannot be read as PDF: .*; export it again$"):
        read(tmp_path, b"text")


def with_unreadable(data: bytes, text: bytes) -> bytes:
    """The PDF with a filter that there is none of in the page of this text."""
    before = b"<< /Length %d >>" % len(b"BT /F1 12 Tf 72 720 Td (%s) Tj ET" % text)
    assert data.count(before) == 1
    return data.replace(before, b"<< /Filter /N>>".ljust(len(before)))


def test_page_that_cannot_be_read_is_reported_and_the_others_read(tmp_path: Path) -> None:
    notices: list[str] = []
    data = with_unreadable(pdf(b"First", b"Second"), b"First")
    assert [document.id for document in read(tmp_path, data, notices)] == ["n#page=2"]
    (notice,) = notices
    assert notice.startswith("n#page=1 cannot be read: ")


def test_file_of_which_no_page_can_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^n cannot be read: none of its pages"):
        read(tmp_path, with_unreadable(pdf(b"First", b""), b"First"))


def test_pypdf_keeps_its_messages_to_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        read(tmp_path, b"junk\n" + pdf(b"Text").replace(b"startxref\n", b"startxref\n1"))
    assert caplog.records == []
    assert logging.getLogger("pypdf").level == logging.NOTSET
