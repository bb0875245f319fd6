"""Read a file into documents, by its suffix; each format has a reader in its own module."""

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
"""The supported types, for messages."""

_HINTS = {
    ".doc": "Save it as .docx",
    ".odt": "Save it as .docx",
    ".rtf": "Save it as .docx",
    ".xls": "Save each sheet as .csv",
    ".xlsx": "Save each sheet as .csv",
    ".json": "Write one object a line and name it .jsonl",
}


def supported_suffixes() -> frozenset[str]:
    """The supported suffixes, in lower case, including ``""`` for files without a suffix.

    Example:
        >>> ".pdf" in supported_suffixes()
        True
    """
    return frozenset(_READERS)


def is_supported(path: Path) -> bool:
    """Whether a file has a supported type, judged by its name.

    Example:
        >>> is_supported(Path("report.PDF")), is_supported(Path("photo.png"))
        (True, False)
    """
    return path.suffix.lower() in _READERS


def read_documents(
    path: Path, *, name: str | None = None, notify: Notify = ignore, part_characters: int | None = None
) -> Iterator[Document]:
    """Read a file as a stream of documents; the suffix determines the format.

    - Text is UTF-8, with or without a byte order mark; all line endings are read as ``\\n``. The file is one
      document with the file's name as its id; with ``part_characters``, long files are split into parts.
    - Markdown is read like text; its front matter, if there is any, becomes title and metadata.
    - HTML is read as the text that a browser would show, and split like text.
    - PDF gives one document per page, with ``page`` in its metadata and the id ``name#page=1``.
    - DOCX is read as paragraphs and tables, and split like text.
    - CSV and TSV give one document per row, from the columns ``text``, ``title`` and ``id``; other columns
      become metadata.
    - JSON Lines gives one document per line, with the same fields and ``metadata``.

    A record's own fields ``file``, ``start`` and ``end`` are renamed to ``file_``, ``start_`` and ``end_``.

    Args:
        path: The file.
        name: The name for ids, messages and ``metadata["source"]``; the path by default.
        notify: Called with a notice for bytes that are not UTF-8, and for pages, rows or records that were
            skipped.
        part_characters: Maximum length of a text document in characters. A longer text is split into parts
            at blank lines, else at line ends, else between words. The first part has the file's id, a part
            that begins at character 700 has the id ``name#char=700``, and each has its ``start`` in the
            metadata. So a file of a gigabyte is never completely in memory.

    Yields:
        The documents.

    Raises:
        InputError: The file is of an unsupported type, cannot be read, or has no text. It is raised when the
            problem is found, which may be after some documents.
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
    """Yield the documents, checking their ids.

    Raises:
        RecordError: Two documents have the same id.
    """
    seen: set[int] = set()
    for document in documents:
        # Only the hash is kept, since a file may have millions of records with long ids.
        key = hash(document.id)
        if key in seen:
            raise RecordError(
                f"two documents have the id {document.id!r}; make ids unique, or leave them out "
                "and each record is named by its file and line"
            )
        seen.add(key)
        yield document
