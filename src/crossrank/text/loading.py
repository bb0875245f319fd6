"""Files and folders to documents in memory."""

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
    """What was read, and what a person should know about the rest.

    Attributes:
        documents: The documents, in the order of the paths; a folder's files are sorted.
        skipped: One sentence for each file, folder, page, row or record that was left out.
        repaired: One sentence for each file with bytes that are not UTF-8, which were read as U+FFFD.
    """

    documents: tuple[Document, ...]
    skipped: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()


def load_documents(paths: Iterable[Path | str]) -> Loaded:
    """Read files, and folders of them, into memory.

    ``crossrank.text.read_documents`` says which types there are and what documents they give. The id of a
    text file is its path as given. A line of a JSON Lines file is an object with its text in
    ``text`` (or ``page_content``, ``contents``) and, as it likes, ``id`` (or ``_id``), ``title`` and
    ``metadata``; other fields become metadata, and a record without an id is named ``path:line``.
    Folders are read with their subfolders; hidden entries and what ``.gitignore`` files say are passed over,
    and a file that is reached twice is read once. Every document's metadata has its path in ``source``
    unless the record says so itself.

    Args:
        paths: Files and folders. A file named here must be readable; one found in a folder may be skipped.

    Returns:
        The documents, and what was skipped or repaired.

    Raises:
        InputError: A path does not exist, a file named here is not supported or cannot be read, a line of a
            JSON Lines file is malformed, two documents share an id, or there is nothing to read at all.
        MissingExtraError: A file named here is of a type that needs an optional library.

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
