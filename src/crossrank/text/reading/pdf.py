"""PDF: one document per page."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from crossrank.documents import Document
from crossrank.errors import InputError, MissingExtraError
from crossrank.text.naming import without_surrogates
from crossrank.text.notices import Notify, left_out
from crossrank.text.reading.problems import NoTextError

if TYPE_CHECKING:
    from pypdf import PdfReader


def read_pdf(path: Path, name: str, notify: Notify, part_characters: int | None) -> Iterator[Document]:
    """Read the pages with text, with their number in ``page`` and the id ``name#page=1`` (RFC 8118).

    The title, and ``author`` in the metadata, come from the document information.
    """
    with path.open("rb") as file:
        with _quiet():
            reader, pages, title, author = _open(file, name)
        metadata = {"source": name, **({"author": author} if author else {})}
        blank: list[int] = []
        broken = 0
        for number in range(1, pages + 1):
            try:
                with _quiet():
                    text = without_surrogates(reader.pages[number - 1].extract_text())
            except OSError:
                raise
            except Exception as error:  # pypdf's documentation: broken files can raise anything
                broken += 1
                notify(left_out(f"{name}#page={number} cannot be read: {_reason(error)}"))
                continue
            if text.strip():
                yield Document(f"{name}#page={number}", text, title, {**metadata, "page": number})
            else:
                blank.append(number)
    if len(blank) == pages:
        raise NoTextError(f"{name} holds no text (scanned pages? Run OCR first, such as ocrmypdf)")
    if len(blank) + broken == pages:
        raise InputError(f"{name} cannot be read: none of its pages with content can; export it again")
    if blank:
        notify(left_out(f"{name} holds no text on {_listed(blank)} of {pages} pages"))


def _open(file: BinaryIO, name: str) -> tuple[PdfReader, int, str, str]:
    """The reader, the number of pages, title and author."""
    # Imported here because it is slow, and only needed for PDF.
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError(f"{name} is encrypted; save it without a password")
        pages = len(reader.pages)
    except (InputError, OSError):
        raise
    except DependencyError as error:
        raise MissingExtraError(f"{name} is encrypted with AES, and reading it", "pdf-aes") from error
    except Exception as error:
        raise InputError(f"{name} cannot be read as PDF: {_reason(error)}; export it again") from error
    if not pages:
        raise NoTextError(f"{name} holds no text (it has no pages)")
    try:
        information = reader.metadata
        title, author = (information.title, information.author) if information else ("", "")
    except Exception:
        title = author = ""
    return reader, pages, _line(title), _line(author)


def _line(value: object) -> str:
    return " ".join(without_surrogates(value).split()) if isinstance(value, str) else ""


def _reason(error: Exception) -> str:
    return without_surrogates(f"{error}".partition("\n")[0][:200]) or type(error).__name__


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"page {shown}" + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pypdf's log messages; serious problems raise exceptions."""
    logger = logging.getLogger("pypdf")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
