"""DOCX: paragraphs and tables in the order of the document."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from crossrank.documents import Document
from crossrank.errors import InputError, MissingExtraError
from crossrank.text.naming import without_surrogates
from crossrank.text.notices import Notify
from crossrank.text.reading.parts import text_documents

if TYPE_CHECKING:
    from docx.document import Document as WordDocument

# Limits of what is unpacked into memory. The parsed text takes ten times its size; images are kept as bytes.
_LARGEST_TEXT = 200_000_000
_LARGEST_IN_ALL = 1_000_000_000


def read_docx(path: Path, name: str, notify: Notify, part_characters: int | None) -> Iterator[Document]:
    """Read a DOCX file: blank lines between paragraphs, one line per table row, ``|`` between cells.

    Inserted text of tracked changes is read, deleted text is not. The title, and ``author`` in the metadata,
    come from the core properties. Offsets are relative to this text.

    Raises:
        MissingExtraError: python-docx is not installed.
    """
    with path.open("rb") as file:
        document = _open(file, name)
    try:
        text = "\n\n".join(_blocks(document.element.body))
        title, author = _title_and_author(document)
    except Exception as error:
        raise _unreadable(name, error) from error
    metadata = {"author": author} if author else {}
    yield from text_documents(
        [without_surrogates(text)], name, part_characters, title=title, metadata=metadata
    )


def _open(file: BinaryIO, name: str) -> WordDocument:
    try:
        import docx
    except ImportError as error:
        raise MissingExtraError(f"{name} cannot be read: DOCX", "docx") from error
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
        text = sum(size for member, size in sizes.items() if member.endswith((".xml", ".rels")))
        if text > _LARGEST_TEXT or sum(sizes.values()) > _LARGEST_IN_ALL:
            raise InputError(
                f"{name} unpacks to more than {_LARGEST_TEXT // 1_000_000} MB of text or "
                f"{_LARGEST_IN_ALL // 1_000_000} MB in all; split it"
            )
        file.seek(0)
        return docx.Document(file)
    except (InputError, OSError):
        raise
    except Exception as error:  # zipfile, lxml and python-docx have their own exceptions
        raise _unreadable(name, error) from error


def _title_and_author(document: WordDocument) -> tuple[str, str]:
    from docx.opc.constants import RELATIONSHIP_TYPE

    relations = document.part.package.rels.values()
    if not any(relation.reltype == RELATIONSHIP_TYPE.CORE_PROPERTIES for relation in relations):
        return "", ""  # python-docx would create default properties, with the title "Word Document"
    properties = document.core_properties
    return " ".join(properties.title.split()), " ".join(properties.author.split())


def _unreadable(name: str, error: Exception) -> InputError:
    reason = f"{error}".partition("\n")[0][:200] or type(error).__name__
    return InputError(f"{name} cannot be read as DOCX: {reason}; save it again")


def _blocks(parent: Any) -> Iterator[str]:
    """The texts of the paragraphs and tables in an element, also of those in content controls."""
    for child in parent.iterchildren("{*}p", "{*}tbl", "{*}sdt", "{*}sdtContent"):
        kind = child.tag.rpartition("}")[2]
        if kind == "p":
            blocks = [_paragraph(child)]
        elif kind == "tbl":
            blocks = ["\n".join(filter(None, map(_row, child.xpath("./w:tr | ./w:sdt//w:tr"))))]
        else:
            blocks = list(_blocks(child))
        yield from (block for block in blocks if block.strip())


def _paragraph(paragraph: Any) -> str:
    # Not paragraph.text, which lacks inserted text. A fallback repeats a text box for old programs.
    runs = paragraph.xpath(".//w:r[not(ancestor::w:moveFrom or ancestor::*[local-name()='Fallback'])]")
    return "".join(run.text for run in runs)


def _row(row: Any) -> str:
    cells = [" ".join(" ".join(_blocks(cell)).split()) for cell in row.xpath("./w:tc | ./w:sdt//w:tc")]
    return " | ".join(cells) if any(cells) else ""
