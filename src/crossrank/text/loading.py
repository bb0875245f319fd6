"""Load files and folders into memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crossrank.documents import Document
from crossrank.errors import InputError, MissingExtraError
from crossrank.text.finding import find_files
from crossrank.text.notices import Notice, NoticeKind, left_out
from crossrank.text.reading import SUPPORTED, read_documents, with_unique_ids
from crossrank.text.reading.problems import NoTextError, RecordError


@dataclass(frozen=True, slots=True)
class Loaded:
    """The documents that were read, and notices about the rest.

    Attributes:
        documents: The documents, in the order of the paths; files in a folder are sorted.
        skipped: One sentence for each file, folder, page, row or record that was skipped.
        repaired: One sentence for each file with invalid UTF-8; the invalid bytes were read as U+FFFD.
    """

    documents: tuple[Document, ...]
    skipped: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()


def load_documents(paths: Iterable[Path | str]) -> Loaded:
    """Read files and folders into memory.

    See ``crossrank.text.read_documents`` for the supported types and the documents that they give. The id of
    a text file is its path as given. Each line of a JSON Lines file is an object with ``text`` (or
    ``page_content``, ``contents``) and optionally ``id`` (or ``_id``), ``title`` and ``metadata``; other
    fields become metadata, and a record without an id gets the id ``path:line``. Folders are read
    recursively; hidden files and files that match a ``.gitignore`` are skipped, and each file is read once.
    The metadata of every document has its path in ``source``, unless the record has its own ``source``.

    Args:
        paths: Files and folders. A file given here must be readable; a file found in a folder may be skipped.

    Returns:
        The documents, and notices about skipped or repaired content.

    Raises:
        InputError: A path does not exist, a given file is not supported or cannot be read, a line of a JSON
            Lines file is malformed, two documents have the same id, or nothing could be read.
        MissingExtraError: A given file is of a type that needs an optional library.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "france.txt").write_text("Paris is the capital of France.")
        ...     [document.text for document in load_documents([folder]).documents]
        ['Paris is the capital of France.']
    """
    documents: list[Document] = []
    notices: list[Notice] = []
    for file in find_files(paths, notify=notices.append):
        try:
            documents += list(read_documents(file.path, notify=notices.append))
        except NoTextError as problem:
            notices.append(left_out(str(problem)))
        except RecordError:
            raise
        except (InputError, MissingExtraError) as problem:
            if file.named:
                raise
            notices.append(left_out(str(problem)))
    skipped, repaired = (
        tuple(notice.text for notice in notices if notice.kind is kind)
        for kind in (NoticeKind.LEFT_OUT, NoticeKind.REPAIRED)
    )
    if not documents:
        raise InputError(f"there is nothing to read: {_first(skipped)}. crossrank reads {SUPPORTED}.")
    return Loaded(tuple(with_unique_ids(documents)), skipped, repaired)


def _first(skipped: tuple[str, ...]) -> str:
    if not skipped:
        return "no file was found"
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return "; ".join(skipped[:3]) + more
