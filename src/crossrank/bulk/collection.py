"""The files of a collection, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossrank.documents import Document
from crossrank.errors import InputError, MissingExtraError, MissingFileError
from crossrank.evaluation.lines import OnBadLine, numbered_lines
from crossrank.index.sources import resolve
from crossrank.text.reading.json_lines import parse_json_line, record_document

KEYS = ("_id", "id")
"""The names that a column of ids may have."""

_AT_ONCE = 1000


def collection_files(collection: str) -> list[str]:
    """The files of a collection: absolute paths and addresses.

    Args:
        collection: A file of JSON Lines or Parquet, a pattern for several, or a folder in BEIR layout.

    Raises:
        InputError: There is no such file.
    """
    # What has a path on this machine is called by it.
    collection = collection.removeprefix("file://")
    if "://" not in collection and Path(collection).is_dir():
        if not (Path(collection) / "corpus.jsonl").is_file():
            raise InputError(
                f"{collection} is no collection: it holds no corpus.jsonl (other files of a folder are given "
                "as 'FOLDER/*.parquet')"
            )
        collection = str(Path(collection) / "corpus.jsonl")
    files = [resolve(file) for file in addresses(collection)]
    for file in files:
        if "://" not in file and not Path(file).is_file():
            raise MissingFileError(f"there is no file {file}")
    return files


def addresses(collection: str) -> list[str]:
    """The files that a pattern such as ``s3://bucket/part-*.jsonl.gz`` stands for, sorted.

    Raises:
        InputError: There is no such file, or the address cannot be opened.
    """
    if not any(mark in collection for mark in "*?["):
        return [collection]
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(collection)
        found = sorted(map(str, system.glob(path)))
    except (ImportError, OSError, ValueError) as error:
        raise InputError(f"{collection} cannot be opened: {error}") from error
    if not found:
        raise InputError(f"there is no file {collection}")
    return [system.unstrip_protocol(name) if "://" in collection else name for name in found]


def file_documents(file: str, on_bad_line: OnBadLine) -> Iterator[tuple[str, Document]]:
    """The documents of a file as :meth:`crossrank.Index.add` reads them, each with its line, for messages.

    Args:
        file: Its path or address; Parquet if its name ends in ``.parquet``, else JSON Lines.
        on_bad_line: Called with the error for a line or row that cannot be used; it is then left out.

    Raises:
        InputError: The file cannot be read.
        MissingExtraError: Parquet needs crossrank[ray].
    """
    is_table = file.endswith(".parquet")
    # A row is a dictionary, a line is text.
    rows: Iterator[tuple[int, Any]] = (
        parquet_rows(file, all_columns=True) if is_table else numbered_lines(file, on_bad_line)
    )
    for number, row in rows:
        place = f"{file}: row {number}" if is_table else f"{file}:{number}"
        try:
            document = record_document(file, place, row) if is_table else parse_json_line(file, number, row)
            if not document.content.strip():
                raise InputError(f"{place} holds no text")
        except InputError as error:
            on_bad_line(error)
        else:
            yield place, document


def parquet_rows(address: str, *, all_columns: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a Parquet file, each with its number from 1.

    Args:
        address: A file, or an address that fsspec reads.
        all_columns: Whether to read all columns of strings, numbers and booleans, or only ids, texts and
            titles.

    Raises:
        InputError: The file cannot be read, or has not the columns.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("reading Parquet", "ray") from error
    import fsspec

    number = 0
    try:
        with fsspec.open(address, "rb") as stream:
            file = parquet.ParquetFile(stream)
            types = {field.name: field.type for field in file.schema_arrow}
            key = next((name for name in KEYS if name in types), None)
            if key is None or "text" not in types:
                raise InputError(
                    f"{address} must have the columns '_id' (or 'id') and 'text'; it has "
                    f"{', '.join(sorted(types))}"
                )
            wanted = [name for name, kind in types.items() if all_columns and _is_plain(kind)]
            columns = wanted or [key, "text", *({"title"} & set(types))]
            for batch in file.iter_batches(_AT_ONCE, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{address} cannot be read: {error}") from error


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean)
    return any(test(kind) for test in tests)
