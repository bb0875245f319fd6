from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import pytest
from docx.document import Document as WordDocument
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from crossrank.documents import Document
from crossrank.errors import InputError, MissingExtraError
from crossrank.text import read_documents


def word(write: Callable[[WordDocument], object]) -> bytes:
    document = docx.Document()
    document.core_properties.author = ""
    write(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def read(folder: Path, data: bytes) -> list[Document]:
    (folder / "a.docx").write_bytes(data)
    return list(read_documents(folder / "a.docx", name="n"))


def changed(data: bytes, member: str, content: bytes | None) -> bytes:
    """The archive with one member changed, or without it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name != member:
                new.writestr(name, old.read(name))
            elif content is not None:
                new.writestr(name, content)
    return out.getvalue()


PLAIN = word(lambda document: document.add_paragraph("Text."))


def test_paragraphs_and_tables_come_in_the_order_of_the_document(tmp_path: Path) -> None:
    def write(document: WordDocument) -> None:
        document.add_heading("Heading")
        document.add_paragraph("First ").add_run("bold").bold = True
        document.add_paragraph("")
        table = document.add_table(2, 2)
        for row, texts in zip(table.rows, [["a", "b"], ["c", "two\nlines"]], strict=True):
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
        document.add_paragraph("Last.")

    (document,) = read(tmp_path, word(write))
    assert document.text == "Heading\n\nFirst bold\n\na | b\nc | two lines\n\nLast."
    assert (document.id, document.title, document.metadata) == ("n", "", {"source": "n"})


def test_title_and_author_are_those_of_the_core_properties(tmp_path: Path) -> None:
    def write(document: WordDocument) -> None:
        document.add_paragraph("Text.")
        document.core_properties.title = "A  title"
        document.core_properties.author = "An author"

    (document,) = read(tmp_path, word(write))
    assert (document.title, document.metadata["author"]) == ("A title", "An author")


def test_file_without_core_properties_has_no_title(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(PLAIN)) as archive:
        relations = archive.read("_rels/.rels").decode()
    without = re.sub(r"<Relationship [^>]*core-properties[^>]*/>", "", relations)
    assert without != relations
    (document,) = read(tmp_path, changed(PLAIN, "_rels/.rels", without.encode()))
    assert (document.title, document.metadata) == ("", {"source": "n"})


def test_merged_cells_are_read_once_and_nested_tables_too(tmp_path: Path) -> None:
    def write(document: WordDocument) -> None:
        table = document.add_table(1, 3)
        table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
        table.cell(0, 2).add_table(1, 1).cell(0, 0).text = "inner"

    assert [document.text for document in read(tmp_path, word(write))] == ["wide | inner"]


def test_content_controls_and_inserted_text_are_read_and_deleted_text_is_not(tmp_path: Path) -> None:
    def write(document: WordDocument) -> None:
        run = "<w:r><w:t>{}</w:t></w:r>"
        document.element.body.insert(
            0,
            parse_xml(
                f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p><w:ins>{run.format('new')}</w:ins>"
                "<w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
                f"<w:moveFrom>{run.format('moved')}</w:moveFrom></w:p></w:sdtContent></w:sdt>"
            ),
        )

    assert [document.text for document in read(tmp_path, word(write))] == ["new"]


def test_long_file_comes_in_parts(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(word(lambda d: [d.add_paragraph(text) for text in ("one", "two")]))
    parts = list(read_documents(tmp_path / "a.docx", name="n", part_characters=6))
    assert [(part.id, part.text) for part in parts] == [("n", "one\n\n"), ("n#char=5", "two")]


def test_file_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^n holds no text$"):
        read(tmp_path, word(lambda document: document.add_paragraph(" ")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        PLAIN[:1000],
        changed(PLAIN, "word/document.xml", None),
        changed(PLAIN, "word/document.xml", b"<w:document"),
        changed(PLAIN, "word/document.xml", b"<a/>"),
        changed(PLAIN, "[Content_Types].xml", None),
        changed(PLAIN, "docProps/core.xml", b"<cut"),
    ],
    ids=range(8),
)
def test_broken_file_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"^n cannot be read") as refused:
        read(tmp_path, data)
    assert "\n" not in str(refused.value)


def test_archive_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    data = changed(PLAIN, "word/document.xml", None)
    out = io.BytesIO(data)
    with (
        zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w") as member,
    ):
        for _ in range(201):
            member.write(b" " * 1_000_000)
    with pytest.raises(
        InputError, match=r"^n unpacks to more than 200 MB of text or 1000 MB in all; split it$"
    ):
        read(tmp_path, out.getvalue())


def test_absent_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(
        MissingExtraError, match=r"^n cannot be read: DOCX needs .*pip install 'crossrank\[docx\]'"
    ):
        read(tmp_path, PLAIN)
