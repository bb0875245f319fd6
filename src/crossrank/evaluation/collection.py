"""Judged collections in the BEIR layout: documents, queries, and relevance judgements."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrank.documents import Document
from crossrank.errors import InputError, MissingFileError
from crossrank.evaluation.lines import OnBadLine, line_error, numbered_lines, refuse
from crossrank.evaluation.qrels import Qrels, load_qrels

_LAYOUT = (
    "a BEIR folder holds corpus.jsonl (_id, title, text), queries.jsonl (_id, text) "
    "and qrels/SPLIT.tsv (query-id, corpus-id, score)"
)


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents and the queries of one split, with judgements for every query.

    Attributes:
        name: The folder's name.
        documents: The whole corpus, in the file's order; ids are unique.
        queries: Query id to question, in the file's order. Only queries with judgements: the others cannot
            be evaluated.
        qrels: Query id to document id to grade, for the same queries. A judged document may be absent from
            the corpus (a reduced one, say); it then counts against recall, as it should.

    Example:
        >>> collection = Collection("toy", (Document("d1", "Paris"),), {"q1": "capital?"}, {"q1": {"d1": 1}})
        >>> len(collection.documents), list(collection.queries)
        (1, ['q1'])
    """

    name: str
    documents: tuple[Document, ...]
    queries: Mapping[str, str]
    qrels: Qrels


def load_collection(folder: Path | str, *, split: str | None = None) -> Collection:
    """Read a judged collection in the BEIR layout.

    Args:
        folder: A folder with ``corpus.jsonl`` (``_id``, ``text`` and optionally ``title`` and ``metadata``),
            ``queries.jsonl`` (``_id``, ``text``) and ``qrels/SPLIT.tsv``, all UTF-8.
        split: The split of the judgements, such as ``"test"`` for ``qrels/test.tsv``. None takes test, or
            else the only split.

    Returns:
        The whole corpus, and the split's judged queries.

    Raises:
        InputError: A file is missing, unreadable or malformed, an id occurs twice, or a judged query has no
            text.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     root = Path(folder, "toy")
        ...     (root / "qrels").mkdir(parents=True)
        ...     _ = (root / "corpus.jsonl").write_text('{"_id": "d1", "title": "", "text": "Paris"}')
        ...     _ = (root / "queries.jsonl").write_text('{"_id": "q1", "text": "capital of France?"}')
        ...     _ = (root / "qrels" / "test.tsv").write_text("query-id\\tcorpus-id\\tscore\\nq1\\td1\\t1\\n")
        ...     load_collection(root).queries
        {'q1': 'capital of France?'}

    Source:
        Thakur et al., BEIR (NeurIPS 2021), https://github.com/beir-cellar/beir.
    """
    folder = Path(folder)
    corpus, queries = folder / "corpus.jsonl", folder / "queries.jsonl"
    if not folder.is_dir():
        raise MissingFileError(f"{folder} is no folder; {_LAYOUT}")
    if missing := [path.name for path in (corpus, queries) if not path.is_file()]:
        raise MissingFileError(f"{folder} has no {' and no '.join(missing)}; {_LAYOUT}")
    judgements = _judgements_file(folder, split)
    qrels = load_qrels(judgements)
    questions = read_queries(queries)
    if unknown := [query for query in qrels if query not in questions]:
        raise InputError(
            f"{judgements} judges query {unknown[0]!r}, which {queries.name} does not have "
            f"({len(unknown)} such queries); add them there or remove their judgements"
        )
    judged = {query: text for query, text in questions.items() if query in qrels}
    return Collection(folder.resolve().name, _read_corpus(corpus), judged, qrels)


def _judgements_file(folder: Path, split: str | None) -> Path:
    splits = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    if not splits:
        raise InputError(f"{folder} has no qrels/SPLIT.tsv; {_LAYOUT}")
    if split is None:
        split = "test" if len(splits) > 1 else next(iter(splits))
        wanted = "no split was named and there is no test split"
    else:
        wanted = f"there is no split {split!r}"
    if split not in splits:
        raise InputError(f"{folder}: {wanted}; choose one of {', '.join(splits)}")
    return splits[split]


def _read_corpus(path: Path) -> tuple[Document, ...]:
    documents: dict[str, Document] = {}
    for number, document in corpus_lines(path):
        if document.id in documents:
            raise _taken(path, number, document.id)
        documents[document.id] = document
    if not documents:
        raise InputError(f"{path} holds no document; {_LAYOUT}")
    return tuple(documents.values())


def corpus_lines(path: Path | str, on_bad_line: OnBadLine = refuse) -> Iterator[tuple[int, Document]]:
    """The documents of a corpus.jsonl one by one, each with the number of its line.

    Args:
        path: The file, or an address that fsspec reads.
        on_bad_line: Called with the error for a line that cannot be used; by default it is raised. That ids
            are unique is not checked.

    Raises:
        InputError: The file cannot be read, or a line cannot be used and ``on_bad_line`` raises.
    """
    for number, item in _json_objects(path, on_bad_line):
        try:
            document = Document(
                id=_id(path, number, item),
                text=_string(path, number, item, "text"),
                title=_string(path, number, item, "title") if item.get("title") is not None else "",
                metadata=_metadata(path, number, item),
            )
        except InputError as error:
            on_bad_line(error)
            continue
        yield number, document


def read_queries(path: Path | str, on_bad_line: OnBadLine = refuse) -> dict[str, str]:
    """Query id to question, from JSON Lines (``_id``, ``text``) or a table of two columns with a tab between.

    Args:
        path: The file, or an address that fsspec reads; a table if its name ends in ``.tsv``.
        on_bad_line: Called with the error for a line that cannot be used; by default it is raised.

    Raises:
        InputError: The file cannot be read, or a line cannot be used and ``on_bad_line`` raises.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "topics.tsv")
        ...     _ = path.write_text("1\\tWho bakes bread?\\n2\\tWhen is high tide?\\n")
        ...     read_queries(path)
        {'1': 'Who bakes bread?', '2': 'When is high tide?'}
    """
    queries: dict[str, str] = {}
    is_table = ".tsv" in Path(str(path)).suffixes
    for number, item in _table_rows(path, on_bad_line) if is_table else _json_objects(path, on_bad_line):
        try:
            query = _id(path, number, item)
            if query in queries:
                raise _taken(path, number, query)
            queries[query] = _string(path, number, item, "text")
        except InputError as error:
            on_bad_line(error)
    return queries


def _table_rows(path: Path | str, on_bad_line: OnBadLine) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered_lines(path, on_bad_line):
        name, separator, text = line.partition("\t")
        if separator:
            yield number, {"_id": name.strip(), "text": text}
        else:
            on_bad_line(
                line_error(path, number, f"must have an id, a tab and a question; it is {line!r:.80}")
            )


def _json_objects(path: Path | str, on_bad_line: OnBadLine) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered_lines(path, on_bad_line):
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            on_bad_line(
                line_error(path, number, f"is not JSON ({error}); write one object a line: {line!r:.80}")
            )
            continue
        if isinstance(item, dict):
            yield number, item
        else:
            on_bad_line(
                line_error(path, number, f"must be a JSON object with '_id' and 'text'; it is {line!r:.80}")
            )


def _id(path: Path | str, number: int, item: Mapping[str, Any]) -> str:
    name = _string(path, number, item, "_id")
    if not name:
        raise line_error(path, number, "'_id' is empty; give every line its own id")
    return name


def _taken(path: Path | str, number: int, name: str) -> InputError:
    return line_error(path, number, f"'_id' {name!r} is there a second time; ids must be unique")


def _string(path: Path | str, number: int, item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        found = f"it is {value!r:.80}" if key in item else "it is missing"
        raise line_error(path, number, f"'{key}' must be a string; {found}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise line_error(path, number, f"'{key}' holds a lone surrogate, which is no character") from error
    return value


def _metadata(path: Path | str, number: int, item: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = item.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise line_error(path, number, f"'metadata' must be an object; it is {metadata!r:.80}")
    return metadata
