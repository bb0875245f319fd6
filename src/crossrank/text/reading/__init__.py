"""One file to documents, by its suffix: one reader a format, each in its own file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from crossrank.documents import Document
from crossrank.errors import InputError, file_error
from crossrank.text.naming import printable
from crossrank.text.notices import Notify, ignore
from crossrank.text.reading.docx import read_docx
from crossrank.text.reading.html import read_html
from crossrank.text.reading.json_lines import read_json_lines
from crossrank.text.reading.markdown import read_markdown
from crossrank.text.reading.pdf import read_pdf
from crossrank.text.reading.plain import read_plain
from crossrank.text.reading.problems import RecordError
from crossrank.text.reading.table import read_table

Reader = Callable[[Path, str, Notify, int | None], Iterator[Document]]

_READERS: dict[str, Reader] = {
    **dict.fromkeys(("", ".txt", ".text", ".rst", ".log"), read_plain),
    **dict.fromkeys((".md", ".markdown"), read_markdown),
    **dict.fromkeys((".html", ".htm", ".xhtml"), read_html),
    ".pdf": read_pdf,
    ".docx": read_docx,
    **dict.fromkeys((".csv", ".tsv"), read_table),
    **dict.fromkeys((".jsonl", ".ndjson"), read_json_lines),
}
SUPPORTED = (
    "text (.txt, .text, .rst, .log or no extension), Markdown (.md, .markdown), HTML (.html, .htm, .xhtml), "
    "PDF (.pdf), Word (.docx), tables (.csv, .tsv) and JSON Lines (.jsonl, .ndjson)"
)
"""The supported types, for a sentence."""

_HINTS = {
    ".doc": "Save it as .docx",
    ".odt": "Save it as .docx",
    ".rtf": "Save it as .docx",
    ".xls": "Save each sheet as .csv",
    ".xlsx": "Save each sheet as .csv",
    ".json": "Write one object a line and name it .jsonl",
}


def supported_suffixes() -> frozenset[str]:
    """The suffixes that can be read, in lower case; ``""`` among them, for files without one.

    Example:
        >>> ".pdf" in supported_suffixes()
        True
    """
    return frozenset(_READERS)


def is_supported(path: Path) -> bool:
    """Whether a file is of a type that can be read, going by its name alone.

    Example:
        >>> is_supported(Path("report.PDF")), is_supported(Path("photo.png"))
        (True, False)
    """
    return path.suffix.lower() in _READERS


def read_documents(
    path: Path, *, name: str | None = None, notify: Notify = ignore, part_characters: int | None = None
) -> Iterator[Document]:
    """Read one file, as its suffix says what it is; the documents come as they are read.

    - Text is UTF-8, with or without a byte order mark, and any line ending reads as ``\\n``. It is one
      document named by the file; ``part_characters`` cuts a longer one into parts.
    - Markdown is text whose front matter, if there is any, becomes title and metadata.
    - HTML is the text that a browser would show, named and cut like text.
    - PDF is a document a page; ``page`` is in its metadata, and its id is ``name#page=1``.
    - DOCX is its paragraphs and tables, named and cut like text.
    - CSV and TSV are a document a row, with columns ``text``, ``title`` and ``id``, others as metadata.
    - JSON Lines is a document a line, with the same fields, and ``metadata``.

    A record's own ``file``, ``start`` and ``end`` become ``file_``, ``start_`` and ``end_``.

    Args:
        path: The file.
        name: What it is called in ids, messages and ``metadata["source"]``; its path by default.
        notify: Called with a notice of each thing that a person should know: bytes that are not UTF-8, and
            pages, rows or records that were left out.
        part_characters: The most characters of a document that is a whole text. A longer one comes in parts
            that together are the whole: the first named as the file, one that begins at character 700
            ``name#char=700``, each with its ``start`` in the metadata. They end at a blank line, else at
            the end of a line, else of a word. So a file of a gigabyte never lies in memory whole.

    Yields:
        The documents.

    Raises:
        InputError: The file is of an unsupported type, cannot be read, or holds no text. It is raised
            when the trouble is met, which may be after some documents.
        MissingExtraError: The file is of a type that needs an optional library.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "cities.csv")
        ...     _ = path.write_text("id,text,country\\n1,Paris is old.,France\\n")
        ...     for document in read_documents(path, name="cities.csv"):
        ...         print(document.id, document.text, document.metadata)
        1 Paris is old. {'source': 'cities.csv', 'country': 'France'}
    """
    name = printable(path) if name is None else name
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        hint = _HINTS.get(path.suffix.lower(), "Convert it to text first")
        raise InputError(
            f"{name} is of an unsupported type ({path.suffix}); crossrank reads {SUPPORTED}. {hint}"
        )
    try:
        yield from with_unique_ids(reader(path, name, notify, part_characters))
    except OSError as error:
        raise file_error(f"{name} cannot be read: {error.strerror or error}", error) from error


def with_unique_ids(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents as they come.

    Raises:
        RecordError: Two of them share an id.
    """
    seen: set[int] = set()
    for document in documents:
        # The hash alone: a file may have millions of records, and ids are long.
        key = hash(document.id)
        if key in seen:
            raise RecordError(
                f"two documents have the id {document.id!r}; make ids unique, or leave them out "
                "and each record is named by its file and line"
            )
        seen.add(key)
        yield document
