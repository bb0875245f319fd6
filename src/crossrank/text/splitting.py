"""Split documents into passages for search and scoring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text.chunking import chunks
from crossrank.text.headings import bind_headings

CHUNK_SIZE, CHUNK_OVERLAP = 500, 100
"""The default length and overlap of passages, in characters."""


def chunk_sizes(size: int | None, overlap: int | None) -> tuple[int, int]:
    """Check chunk size and overlap, and fill in defaults.

    Raises:
        InputError: The size is below 1, or the overlap is negative or not below the size.

    Example:
        >>> chunk_sizes(None, None), chunk_sizes(80, None)
        ((500, 100), (80, 16))
    """
    size = CHUNK_SIZE if size is None else size
    if size < 1:
        raise InputError(f"chunk_size must be at least 1 character; it is {size}")
    overlap = min(CHUNK_OVERLAP, size // 5) if overlap is None else overlap
    if not 0 <= overlap < size:
        raise InputError(f"chunk_overlap must be at least 0 and below chunk_size ({size}); it is {overlap}")
    return size, overlap


def split_documents(
    documents: Iterable[Document], *, chunk_size: int | None = None, chunk_overlap: int | None = None
) -> list[Document]:
    """Split documents into passages at paragraphs, lines, words or characters, in this order of preference.

    The result is the same as of LangChain's ``RecursiveCharacterTextSplitter`` with the same sizes
    (https://docs.langchain.com/oss/python/integrations/splitters/recursive_text_splitter), except that a
    Markdown heading stays with the text below it.

    Args:
        documents: The documents to split; they are not changed.
        chunk_size: Maximum length of a passage in characters; 500 by default.
        chunk_overlap: Maximum number of characters that a passage repeats from the previous one; 100 by
            default, or a fifth of ``chunk_size`` if that is less.

    Returns:
        The passages, in order. The n-th passage of document ``a`` has the id ``a#n``, counted from 1. It has
        the document's title and metadata, plus the character offsets ``start`` and ``end``, so that
        ``document.text[start:end] == passage.text``. If the document's metadata has an integer ``start``,
        the document is itself part of a longer text, and the offsets are relative to that text. A document
        with only white space gives no passage.

    Raises:
        InputError: ``chunk_size`` is below 1, or ``chunk_overlap`` is negative or not below ``chunk_size``.

    Example:
        >>> document = Document(id="a", text="First paragraph.\\n\\nSecond paragraph.")
        >>> for passage in split_documents([document], chunk_size=20, chunk_overlap=0):
        ...     print(passage.id, passage.text, dict(passage.metadata))
        a#1 First paragraph. {'start': 0, 'end': 16}
        a#2 Second paragraph. {'start': 18, 'end': 35}
    """
    chunk_size, chunk_overlap = chunk_sizes(chunk_size, chunk_overlap)
    return [
        passage
        for document in documents
        if document.text.strip()
        for passage in _passages(document, chunk_size, chunk_overlap)
    ]


def _passages(document: Document, chunk_size: int, chunk_overlap: int) -> Iterator[Document]:
    bound = bind_headings(document.text)
    end = 0
    given = document.metadata.get("start")
    offset = given if isinstance(given, int) and not isinstance(given, bool) else 0
    for number, chunk in enumerate(chunks(bound, chunk_size, chunk_overlap), start=1):
        # Like LangChain's add_start_index: a passage begins no earlier than the overlap allows.
        start = bound.find(chunk, max(0, end - chunk_overlap))
        end = start + len(chunk)
        metadata = {**document.metadata, "start": offset + start, "end": offset + end}
        text = document.text[start:end]
        yield Document(f"{document.id}#{number}", text, document.title, metadata)
