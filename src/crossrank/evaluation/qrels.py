"""Relevance judgements: which document is how relevant to which query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from crossrank.errors import InputError
from crossrank.evaluation.lines import line_error, numbered_lines

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade; a grade of 0 or less is a judged "not relevant"."""

_BEIR_HEADER = ["query-id", "corpus-id", "score"]
_FORMATS = (
    "judgements are either the BEIR table (tab-separated, first line 'query-id corpus-id score') "
    "or TREC qrels (four columns: query, 0, document, grade)"
)
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
# trec_eval counts documents in an array as long as the highest grade, so a stray id in the grade's
# column would take the memory.
_HIGHEST_GRADE = 1000


def load_qrels(path: Path | str) -> dict[str, dict[str, int]]:
    """Read judgements, in either of the two formats that collections come with.

    The first line tells which: the header ``query-id corpus-id score`` (tab-separated) is BEIR's table;
    four columns without a header (query, iteration, document, grade) are TREC qrels.

    Args:
        path: The file, UTF-8.

    Returns:
        Query id to document id to grade (no unit; 0 or less is not relevant), in the file's order.

    Raises:
        InputError: The file cannot be read, holds no judgement, or a line is malformed or judges the same
            document for the same query again.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "qrels.txt")
        ...     _ = path.write_text("q1 0 d1 2\\nq1 0 d2 0\\n")
        ...     load_qrels(path)
        {'q1': {'d1': 2, 'd2': 0}}

    Source:
        TREC's format: https://trec.nist.gov/data/qrels_eng/. BEIR's: Thakur et al., BEIR (NeurIPS 2021),
        https://github.com/beir-cellar/beir.
    """
    path = Path(path)
    qrels: dict[str, dict[str, int]] = {}
    beir: bool | None = None
    for number, line in numbered_lines(path):
        if beir is None:
            beir = _is_beir(path, number, line)
            if beir:
                continue
        query, document, grade = _judgement(path, number, line, beir)
        if document in qrels.setdefault(query, {}):
            raise line_error(
                path, number, f"judges document {document!r} for query {query!r} again; keep one of the lines"
            )
        qrels[query][document] = grade
    if not qrels:
        raise InputError(f"{path} holds no judgement; {_FORMATS}")
    return qrels


def _is_beir(path: Path, number: int, line: str) -> bool:
    if [name.strip() for name in line.split("\t")] == _BEIR_HEADER:
        return True
    if len(line.split()) == 4:
        return False
    raise line_error(path, number, f"is no judgement: {line!r:.80}; {_FORMATS}")


def _judgement(path: Path, number: int, line: str, beir: bool) -> tuple[str, str, int]:
    fields = [field.strip() for field in line.split("\t")] if beir else line.split()
    expected = 3 if beir else 4
    if len(fields) != expected:
        separator = "tab-separated columns" if beir else "columns"
        raise line_error(path, number, f"must have {expected} {separator}, has {len(fields)}: {line!r:.80}")
    query, document, grade = fields[0], fields[-2], fields[-1]
    if not query or not document:
        raise line_error(path, number, f"must name a query and a document: {line!r:.80}")
    if not _WHOLE_NUMBER.fullmatch(grade) or len(grade) > 9 or abs(int(grade)) > _HIGHEST_GRADE:
        raise line_error(
            path,
            number,
            f"grade must be a whole number up to {_HIGHEST_GRADE}; it is {grade!r:.40}",
        )
    return query, document, int(grade)
