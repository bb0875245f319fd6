"""CSV and TSV: one document per row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text.naming import own_fields
from crossrank.text.notices import Notify, left_out
from crossrank.text.reading.decoding import text_chunks, text_lines
from crossrank.text.reading.problems import NoTextError

_TEXT_COLUMNS = ("text", "page_content", "contents", "content", "body", "passage")
_ID_COLUMNS = ("id", "_id")
_SAMPLE = 65_536
_LONGEST_CELL = 10_000_000
# The number of malformed rows that are reported individually; a wrong file would flood the screen.
_REPORTED = 5
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,15}")


def read_table(path: Path, name: str, notify: Notify, part_characters: int | None) -> Iterator[Document]:
    """Stream the rows below the header; a row is always one document, however long.

    The text is the column ``text`` (or ``page_content``, ``contents``, ``content``, ``body``, ``passage``),
    else one line ``column: value`` per column. ``title`` and ``id`` (or ``_id``) become title and id; a row
    without an id gets the id ``path:line``. Other columns become metadata: numbers are converted, and empty
    cells are left out.

    Raises:
        InputError: A cell is too long, for example because of a quote that is never closed.
        NoTextError: No row has text.
    """
    # The limit applies to the whole process, so it is only ever increased.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    lines = (f"{line}\n" for line in text_lines(text_chunks(path, name, notify), name))
    sample = _take(lines, _SAMPLE)
    dialect = _sniff(sample, "\t" if path.suffix.lower() == ".tsv" else ",")
    rows = _rows(chain(sample, lines), dialect, name)
    _, header = next(rows, (0, []))
    columns = _Columns.named(header)
    unfit, holds_text = 0, False
    for number, cells in rows:
        place = f"{name}:{number}"
        problem = _problem(cells, len(header))
        if problem:
            unfit += 1
            if unfit <= _REPORTED:
                notify(left_out(f"{place} {problem}; the row was left out"))
            continue
        document = columns.document(cells, name, place)
        if document.content.strip():
            holds_text = True
            yield document
        else:
            notify(left_out(f"{place} holds no text"))
    if unfit > _REPORTED:
        notify(left_out(f"{name} has {unfit - _REPORTED} more rows that do not fit; they were left out"))
    if not holds_text:
        raise NoTextError(f"{name} holds no text (the first row is taken for the names of the columns)")


def _take(lines: Iterator[str], characters: int) -> list[str]:
    taken: list[str] = []
    for line in lines:
        taken.append(line)
        characters -= len(line)
        if characters <= 0:
            break
    return taken


@dataclass(frozen=True, slots=True)
class _Dialect:
    delimiter: str
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL


def _sniff(sample: Sequence[str], usual: str) -> _Dialect:
    """The dialect in which most rows of the sample have as many cells as the header, and more than one.

    csv.Sniffer counts characters in the whole sample, so prose in cells misleads it.
    """
    delimiters = sorted(",;\t|", key=lambda delimiter: delimiter != usual)
    candidates = [*map(_Dialect, delimiters), _Dialect("\t", csv.QUOTE_NONE)]
    best, best_score = _Dialect(usual), (0, 0)
    for candidate in candidates:
        sizes = _sizes(sample, candidate)
        if sizes and sizes[0] > 1:
            fitting = sum(size == sizes[0] for size in sizes)
            score = (2 * fitting - len(sizes), sizes[0])
            if score > best_score:
                best, best_score = candidate, score
    return best


def _sizes(sample: Sequence[str], dialect: _Dialect) -> list[int]:
    try:
        return [len(cells) for _, cells in _rows(sample, dialect, "")]
    except InputError:
        return []


def _rows(lines: Iterable[str], dialect: _Dialect, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that are not blank, with the number of their first line."""
    reader = csv.reader(lines, delimiter=dialect.delimiter, quoting=dialect.quoting, skipinitialspace=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{name}:{number} cannot be read ({error}); is a quote never closed?") from error
        if any(map(str.strip, cells)):
            yield number, cells


def _problem(cells: Sequence[str], columns: int) -> str:
    if any("\0" in cell for cell in cells):
        return "holds NUL bytes"
    if len(cells) < columns or any(map(str.strip, cells[columns:])):
        return f"has {len(cells)} cell{'s' * (len(cells) != 1)} where the header has {columns}"
    return ""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The positions of the columns."""

    names: tuple[str, ...]
    text: int | None
    title: int | None
    id: int | None

    @classmethod
    def named(cls, header: Sequence[str]) -> _Columns:
        names: list[str] = []
        for number, cell in enumerate(header, start=1):
            name = cell.strip() or f"column {number}"
            names.append(f"{name} ({number})" if name in names else name)
        lowered = [name.lower() for name in names]

        def first(*wanted: str) -> int | None:
            return next((lowered.index(name) for name in wanted if name in lowered), None)

        return cls(tuple(names), first(*_TEXT_COLUMNS), first("title"), first(*_ID_COLUMNS))

    def document(self, cells: Sequence[str], name: str, place: str) -> Document:
        others = {
            column: cell.strip()
            for position, (column, cell) in enumerate(zip(self.names, cells, strict=False))
            if position not in (self.text, self.title, self.id) and cell.strip()
        }
        lines = [f"{column}: {cell}" for column, cell in others.items()]
        return Document(
            id=_cell(cells, self.id) or place,
            text="\n".join(lines) if self.text is None else cells[self.text],
            title=_cell(cells, self.title),
            metadata={"source": name, **own_fields({n: _value(cell) for n, cell in others.items()})},
        )


def _cell(cells: Sequence[str], position: int | None) -> str:
    return "" if position is None else cells[position].strip()


def _value(cell: str) -> str | int | float:
    """Convert a cell to a number if it is a plain one: ``007``, ``1e5`` and ``+1`` stay text."""
    if _WHOLE.fullmatch(cell):
        return int(cell)
    return float(cell) if _DECIMAL.fullmatch(cell) else cell
