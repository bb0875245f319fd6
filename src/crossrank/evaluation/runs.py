"""Runs: what a system retrieved for each query, in files and as TREC's tools rank it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from crossrank.errors import InputError
from crossrank.evaluation.lines import OnBadLine, line_error, numbered_lines, refuse
from crossrank.files import replacing

Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""Query id to document id to score; higher is better, on whatever scale the system has."""

_FORMATS = (
    "a run is TREC's six columns (query, Q0, document, rank, score, tag), a tab-separated table with the "
    "header 'query-id corpus-id rank score' (rank or score may be missing), or MS MARCO's three columns "
    "(query, document, rank)"
)
# trec_eval keeps scores in single precision, which ends at 3.4e38. Equal scores need room to move apart.
_LARGEST_SCORE = 3e38
_LARGEST_UNTIED = 1e38


def read_run(path: Path | str, *, on_bad_line: OnBadLine = refuse) -> dict[str, dict[str, float]]:
    """Read a run: TREC's format, a table with a header, or MS MARCO's three columns.

    The score decides the order and the rank is not read, as in trec_eval. Only where the file has no scores
    does a document get minus its rank.

    Args:
        path: The file, UTF-8; compressed files and addresses that fsspec reads, such as ``s3://``, work too.
        on_bad_line: Called with the error for a line that cannot be used; by default it is raised.

    Returns:
        Query id to document id to score, in the file's order.

    Raises:
        InputError: The file cannot be read or holds no result, or a line is malformed, has a score that is
            no finite number, or names the same document for the same query again.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "bm25.run")
        ...     _ = path.write_text("q1 Q0 d1 1 12.5 bm25\\nq1 Q0 d2 2 9.25 bm25\\n")
        ...     read_run(path)
        {'q1': {'d1': 12.5, 'd2': 9.25}}

    Source:
        trec_eval's description of the format: https://github.com/usnistgov/trec_eval.
    """
    run: dict[str, dict[str, float]] = {}
    layout: _Layout | None = None
    scored: bool | None = None
    for number, line in numbered_lines(path, on_bad_line):
        try:
            if layout is None:
                layout = _layout(path, number, line)
                if layout.header:
                    continue
            result = _result(path, number, line, layout)
            if scored is None:
                scored = result.scored
            if result.scored is not scored:
                raise line_error(
                    path, number, "scores must be on every line or on none; the first line differs"
                )
            if result.document in run.get(result.query, ()):
                raise line_error(
                    path,
                    number,
                    f"names document {result.document!r} for query {result.query!r} again; keep one of the "
                    "lines",
                )
        except InputError as error:
            on_bad_line(error)
            continue
        run.setdefault(result.query, {})[result.document] = result.score
    if not run:
        raise InputError(f"{path} holds no result; {_FORMATS}")
    return run


def write_run(path: Path | str, run: Run, tag: str) -> None:
    """Write a run in TREC's format, so that any tool reads back this very ranking.

    Best first, ranks from 1. Scores go through :func:`untied`, so that trec_eval, which ignores the ranks,
    cannot reorder equal ones; all others are written so that they read back as the same float. The file
    appears complete or not at all. A query without documents leaves no line: measures count it as 0 either
    way.

    Args:
        path: Where; an existing file is replaced.
        run: Query id to document id to score.
        tag: The run's name in the last column, without spaces.

    Raises:
        InputError: An id or the tag is empty or has a space in it, a score is no finite number, or the file
            cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "mine.run")
        ...     write_run(path, {"q1": {"d2": 0.25, "d1": 0.5}}, tag="mine")
        ...     print(path.read_text(), end="")
        q1 Q0 d1 1 0.5 mine
        q1 Q0 d2 2 0.25 mine
    """
    path = Path(path)
    lines = list(run_lines(run, tag))
    try:
        with replacing(path) as unfinished:
            unfinished.write_text("".join(lines), encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. Name a file in a folder that exists."
        ) from error


def run_lines(run: Run, tag: str) -> Iterator[str]:
    """The lines of a run in TREC's format, each with its line break; see :func:`write_run`.

    Raises:
        InputError: An id or the tag is empty or has a space in it, or a score is no finite number.

    Example:
        >>> list(run_lines({"q1": {"d2": 0.25}}, tag="mine"))
        ['q1 Q0 d2 1 0.25 mine\\n']
    """
    _check_word("tag", tag)
    for query, scores in untied(run).items():
        _check_word("query id", query)
        for rank, (document, score) in enumerate(scores.items(), start=1):
            _check_word("document id", document)
            yield f"{query} Q0 {document} {rank} {score!r} {tag}\n"


def untied(run: Run) -> dict[str, dict[str, float]]:
    """The same ranking with scores that no tool can reorder.

    trec_eval reads scores in single precision and orders equal ones by document id. A cross-encoder's
    probabilities meet both: 0.99999999 and 0.9999999999 are equal there. Here each query's documents are
    sorted by score, equal ones in the order they are given in, and a score that single precision would not
    see below the one before it becomes the next lower number of single precision. All others stay as they
    are, so differences change by about one part in ten million.

    Args:
        run: Query id to document id to score.

    Returns:
        The same queries and documents, best first, with scores that strictly fall in single precision.

    Raises:
        InputError: A score is no finite number, or is larger than 1e38 in size.

    Example:
        >>> untied({"q1": {"d1": 0.5, "d2": 1.0, "d3": 1.0}})
        {'q1': {'d2': 1.0, 'd3': 0.9999999403953552, 'd1': 0.5}}
    """
    import numpy as np

    lowest = np.float32(-np.inf)
    result: dict[str, dict[str, float]] = {}
    for query, scores in run.items():
        _check_scores(query, scores, _LARGEST_UNTIED)
        result[query] = {}
        previous = np.float32(np.inf)
        for document, score in sorted(scores.items(), key=lambda item: -item[1]):
            single = np.float32(score)
            below = single < previous
            previous = single if below else np.nextafter(previous, lowest)
            result[query][document] = float(score if below else previous)
    return result


def trec_order(query: str, scores: Mapping[str, float]) -> list[str]:
    """The order in which trec_eval reads one query's documents, best first.

    Args:
        query: The query's id, for the error.
        scores: Document id to score.

    Returns:
        The document ids, by score in single precision; equal ones by id, the last in the alphabet first.

    Raises:
        InputError: A score is no finite number, or is larger than 3e38 in size.

    Example:
        >>> trec_order("q1", {"d1": 1.0, "d2": 1.0, "d3": 2.0})
        ['d3', 'd2', 'd1']

    Source:
        ``comp_sim_docno`` in https://github.com/usnistgov/trec_eval/blob/master/form_res_rels.c.
    """
    import numpy as np

    _check_scores(query, scores, _LARGEST_SCORE)
    single = {document: float(np.float32(score)) for document, score in scores.items()}
    return sorted(scores, key=lambda document: (single[document], document), reverse=True)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column holds what; None for a column that is not there."""

    columns: int
    query: int
    document: int
    rank: int | None
    score: int | None
    header: bool = False


_TREC = _Layout(columns=6, query=0, document=2, rank=3, score=4)
_MS_MARCO = _Layout(columns=3, query=0, document=1, rank=2, score=None)


@dataclass(frozen=True, slots=True)
class _Result:
    query: str
    document: str
    score: float
    scored: bool


def _layout(path: Path | str, number: int, line: str) -> _Layout:
    names = [name.strip() for name in line.split("\t")]
    if {"query-id", "corpus-id"} <= set(names) and {"rank", "score"} & set(names):
        place = {name: column for column, name in enumerate(names)}
        return _Layout(
            columns=len(names),
            query=place["query-id"],
            document=place["corpus-id"],
            rank=place.get("rank"),
            score=place.get("score"),
            header=True,
        )
    for layout in (_TREC, _MS_MARCO):
        if len(line.split()) == layout.columns:
            return layout
    raise line_error(path, number, f"is no result: {line!r:.80}; {_FORMATS}")


def _result(path: Path | str, number: int, line: str, layout: _Layout) -> _Result:
    fields = [field.strip() for field in line.split("\t")] if layout.header else line.split()
    if len(fields) != layout.columns:
        raise line_error(path, number, f"must have {layout.columns} columns, has {len(fields)}: {line!r:.80}")
    query, document = fields[layout.query], fields[layout.document]
    if not query or not document:
        raise line_error(path, number, f"must name a query and a document: {line!r:.80}")
    score = fields[layout.score] if layout.score is not None else ""
    if score:
        return _Result(query, document, _number(path, number, score), scored=True)
    if layout.rank is None:
        raise line_error(path, number, f"has no score: {line!r:.80}")
    rank = fields[layout.rank]
    if not (rank.isascii() and rank.isdigit() and 0 < len(rank) < 8):
        raise line_error(path, number, f"has no score and needs a whole number as rank, not {rank!r:.40}")
    return _Result(query, document, -float(rank), scored=False)


def _number(path: Path | str, number: int, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if "_" in text or not abs(score) <= _LARGEST_SCORE:
        raise line_error(path, number, f"score must be a finite number up to 3e38 in size, not {text!r:.40}")
    return score


def _check_scores(query: str, scores: Mapping[str, float], largest: float) -> None:
    for document, score in scores.items():
        if not abs(score) <= largest:
            raise InputError(
                f"score of document {document!r} for query {query!r} must be a finite number up to "
                f"{largest:.0e} in size; it is {score!r}"
            )


def _check_word(what: str, text: str) -> None:
    if len(text.split()) != 1 or text.strip() != text:
        raise InputError(f"{what} {text!r} must be one word for a TREC run: not empty and without spaces")
