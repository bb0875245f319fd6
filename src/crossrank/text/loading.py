"""Files and folders to documents."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrank.documents import Document
from crossrank.errors import InputError

_TEXT = frozenset({"", ".txt", ".text", ".md", ".markdown", ".rst", ".log"})
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_SUPPORTED = "text (.txt, .text, .md, .markdown, .rst, .log or no extension) and JSON Lines (.jsonl, .ndjson)"
_TEXT_FIELDS = ("text", "page_content", "contents")
_SNIFFED_BYTES = 8192
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read, and what a person should know about the rest.

    Attributes:
        documents: The documents, in the order of the paths; a folder's files are sorted.
        skipped: One sentence for each file, folder or record that was left out.
        repaired: One sentence for each file with bytes that are not UTF-8, which were read as U+FFFD.
    """

    documents: tuple[Document, ...]
    skipped: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()


def load_documents(paths: Iterable[Path | str]) -> Loaded:
    """Read text files, JSON Lines files and folders of them.

    Text files are UTF-8, with or without a byte order mark, and any line ending reads as ``\\n``. The id
    of a text file is its path as given. A line of a JSON Lines file is an object with its text in
    ``text`` (or ``page_content``, ``contents``) and, as it likes, ``id`` (or ``_id``), ``title`` and
    ``metadata``; other fields become metadata, and a record without an id is named ``path:line``.
    Folders are read with their subfolders; hidden entries are passed over, and a file that is reached
    twice is read once. Every document's metadata has its path in ``source`` unless the record says so itself.

    Args:
        paths: Files and folders. A file named here must be readable; one found in a folder may be skipped.

    Returns:
        The documents, and what was skipped or repaired.

    Raises:
        InputError: A path does not exist, a file named here is not supported or not text, a line of a
            JSON Lines file is malformed, two documents share an id, or there is nothing to read at all.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "france.txt").write_text("Paris is the capital of France.")
        ...     [document.text for document in load_documents([folder]).documents]
        ['Paris is the capital of France.']
    """
    if isinstance(paths, str):
        raise InputError("paths must be a list; a single string was given. Write [path] for one path.")
    documents: list[Document] = []
    skipped: list[str] = []
    repaired: list[str] = []
    for path, named in _files(paths, skipped):
        try:
            text, is_utf8 = _read(path, named=named)
        except InputError as problem:
            if named:
                raise
            skipped.append(str(problem))
            continue
        if not is_utf8:
            repaired.append(f"{_name(path)} holds bytes that are not UTF-8; they were read as U+FFFD")
        if not text.strip():
            skipped.append(f"{_name(path)} holds no text")
        elif path.suffix.lower() in _JSON_LINES:
            documents.extend(parse_json_lines(_name(path), text, skipped))
        else:
            documents.append(Document(id=_name(path), text=text, metadata={"source": _name(path)}))
    if not documents:
        raise InputError(f"there is nothing to read: {_first(skipped)}. crossrank reads {_SUPPORTED}.")
    _check_ids(documents)
    return Loaded(tuple(documents), tuple(skipped), tuple(repaired))


def _files(paths: Iterable[Path | str], skipped: list[str]) -> Iterator[tuple[Path, bool]]:
    """Every file once, and whether it was named rather than found in a folder."""
    seen: set[str] = set()
    for path in map(Path, paths):
        is_folder = _is_folder(path)
        for file in _walk(path, skipped) if is_folder else [path]:
            if (real := os.path.realpath(file)) not in seen:
                seen.add(real)
                yield file, not is_folder


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise InputError(f"{_name(path)} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{_name(path)} cannot be read: {error}") from error


def _walk(folder: Path, skipped: list[str]) -> list[Path]:
    def refuse(error: OSError) -> None:
        skipped.append(f"{_name(Path(error.filename))} cannot be read: {error.strerror}")

    files: list[Path] = []
    visited: set[str] = set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        if (real := os.path.realpath(root)) in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files.extend(Path(root, name) for name in names if not name.startswith("."))
    return sorted(files)


def _read(path: Path, *, named: bool) -> tuple[str, bool]:
    """The text of a file, and whether all of it was UTF-8."""
    name = _name(path)
    if path.suffix.lower() not in _TEXT | _JSON_LINES:
        raise InputError(
            f"{name} is of an unsupported type ({path.suffix}); crossrank reads {_SUPPORTED}. "
            "Convert it to text first"
        )
    if not named and not path.is_file():
        raise InputError(f"{name} is not a regular file")
    return decode_text(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The content of a file that looks like text.

    Raises:
        InputError: It cannot be read, or its beginning holds NUL bytes.
    """
    name = _name(path)
    try:
        with path.open("rb") as file:
            data = file.read(_SNIFFED_BYTES)
            if b"\0" in data:
                raise InputError(f"{name} is not text (it holds NUL bytes); save it as UTF-8 text")
            return data + file.read()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def decode_text(data: bytes) -> tuple[str, bool]:
    """UTF-8 bytes to text with plain line ends, and whether all was UTF-8; what is not becomes U+FFFD."""
    try:
        text, is_utf8 = data.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        text, is_utf8 = data.decode("utf-8-sig", errors="replace"), False
    return text.replace("\r\n", "\n").replace("\r", "\n"), is_utf8


def parse_json_lines(name: str, text: str, skipped: list[str]) -> Iterator[Document]:
    """One document a line; a record without text adds a sentence to ``skipped``.

    Raises:
        InputError: A line is malformed.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            document = _record(name, f"{name}:{number}", line)
            if document.content.strip():
                yield document
            else:
                skipped.append(f"{name}:{number} holds no text")


def _record(name: str, place: str, line: str) -> Document:
    try:
        record = _without_surrogates(json.loads(line))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not valid JSON ({error}); write one object a line") from error
    if not isinstance(record, dict):
        raise InputError(f'{place} must be a JSON object such as {{"text": "..."}}; it is {line:.80}')
    text = next((record.pop(field) for field in _TEXT_FIELDS if field in record), None)
    if not isinstance(text, str):
        raise InputError(
            f"{place} needs a string in 'text' (or 'page_content', 'contents'); it is {line:.80}"
        )
    title, metadata = record.pop("title", None) or "", record.pop("metadata", None) or {}
    if not isinstance(title, str) or not isinstance(metadata, dict):
        raise InputError(f"{place} needs a string in 'title' and an object in 'metadata'; it is {line:.80}")
    names = [record.pop(field, None) for field in ("id", "_id")]
    given = next((str(value) for value in names if value not in (None, "")), place)
    return Document(id=given, text=text, title=title, metadata={"source": name, **record, **metadata})


def _without_surrogates(value: Any) -> Any:
    """A JSON value with U+FFFD for what JSON can escape but no UTF-8 file can hold."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _name(path: Path) -> str:
    """The path as given, fit for printing whatever bytes the file system holds."""
    return _SURROGATE.sub("\ufffd", path.as_posix())


def _first(skipped: list[str]) -> str:
    if not skipped:
        return "no file was found"
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return "; ".join(skipped[:3]) + more


def _check_ids(documents: list[Document]) -> None:
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise InputError(
                f"two documents have the id {document.id!r}; make ids unique, or leave them out "
                "and each record is named by its file and line"
            )
        seen.add(document.id)
