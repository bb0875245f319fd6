"""HTML: the text that a browser would show."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text.naming import without_surrogates
from crossrank.text.notices import Notify, repaired
from crossrank.text.reading.decoding import refuse_binary
from crossrank.text.reading.parts import text_documents

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

# The tree takes forty times as much memory, and a second or so for each megabyte.
_LARGEST = 50_000_000
_DROPPED = frozenset({"noscript", "rp", "rt", "script", "style", "template", "title"})
_LINES = frozenset(
    """address article aside body br caption center dd details dialog div dl dt fieldset figcaption figure
    footer form frame header hgroup hr html legend li main menu nav noframes option section summary tbody
    tfoot thead tr""".split()  # noqa: SIM905 - a list of forty names is a page
)
_PARAGRAPHS = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"})
_CELLS = frozenset({"td", "th"})


def read_html(path: Path, name: str, notify: Notify, part_characters: int | None) -> Iterator[Document]:
    """The text of a page: a line a block, with blank lines around paragraphs, headings, lists and tables.

    Positions are those in this text, since that of the file has tags in between.
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise InputError(
            f"{name} is HTML of more than {_LARGEST // 1_000_000} MB; split it into smaller pages"
        )
    page = _parse(_decode(data, name, notify), name)
    titles = (title for title in page.find_all("title") if title.find_parent("svg") is None)
    title = " ".join(next((title.get_text() for title in titles), "").split())
    text = without_surrogates(_text(page))
    yield from text_documents([text], name, part_characters, title=without_surrogates(title))


def _decode(data: bytes, name: str, notify: Notify) -> str:
    """By the byte order mark, else as declared, else UTF-8 where it is valid, else Windows-1252.

    The last is the HTML standard's (https://html.spec.whatwg.org/multipage/parsing.html). Where Beautiful
    Soup decodes, it asks whatever guessing library is installed before it tries UTF-8.
    """
    from bs4.dammit import EncodingDetector

    data, marked = EncodingDetector.strip_byte_order_mark(data)
    if not marked:
        refuse_binary(data, name)
    encoding = marked or _known(EncodingDetector.find_declared_encoding(data, is_html=True))
    for candidate in [encoding] if encoding else ["utf-8", "windows-1252"]:
        try:
            return data.decode(candidate)
        except UnicodeDecodeError:
            encoding = candidate
    notify(repaired(name, str(encoding)))
    return data.decode(encoding or "utf-8", errors="replace")


def _known(encoding: str | None) -> str | None:
    """A declared encoding, where it can be the one: what was found by reading ASCII is no UTF-16."""
    try:
        return None if encoding is None or b"a".decode(encoding) != "a" else encoding
    except (LookupError, UnicodeError):
        return None


def _parse(markup: str, name: str) -> BeautifulSoup:
    # Imported here since it takes a while, and only HTML needs it.
    from bs4 import BeautifulSoup
    from bs4.exceptions import ParserRejectedMarkup

    # Behind the last ">" no tag ends, and Python's parser looks for the end of each to the end of the file.
    whole, end, cut = markup.rpartition(">")
    markup = whole + end + cut.replace("<", "&lt;")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it looks like XML, or like the name of a file
        try:
            return BeautifulSoup(markup, "html.parser")
        except (ParserRejectedMarkup, RecursionError) as error:
            raise InputError(f"{name} cannot be read as HTML: {error}") from error


def _text(page: Tag) -> str:
    """Walks without recursion: pages can be nested deeper than Python's calls."""
    from bs4.element import CData, NavigableString, Tag

    blocks = _Blocks()
    waiting = [iter(page.contents)]
    open_tags: list[Tag] = []
    while waiting:
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
            if open_tags:
                blocks.leave(open_tags.pop().name)
        elif isinstance(node, Tag):
            if node.name not in _DROPPED:
                blocks.enter(node.name)
                open_tags.append(node)
                waiting.append(iter(node.contents))
        elif type(node) in (NavigableString, CData):  # and no comment, declaration or the like
            blocks.line.append(str(node))
    blocks.end(0)
    return "".join(blocks.pieces)


class _Blocks:
    """The text so far, and the line that is being put together."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.line: list[str] = []
        self._gap = 0
        self._preformatted = 0

    def enter(self, tag: str) -> None:
        self._mark(tag)
        self._preformatted += tag == "pre"

    def leave(self, tag: str) -> None:
        if tag != "br":
            self._mark(tag)
        self._preformatted -= tag == "pre"

    def _mark(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.end(2)
        elif tag in _LINES:
            self.end(1)
        elif tag in _CELLS:
            self.line.append(" ")

    def end(self, gap: int) -> None:
        """End the line; at least ``gap`` line feeds come before the next one."""
        text = "".join(self.line)
        text = text.replace("\r\n", "\n").strip("\n") if self._preformatted else " ".join(text.split())
        if text.strip():
            self.pieces += ["\n" * self._gap if self.pieces else "", text]
            self._gap = 0
        self._gap = max(self._gap, gap)
        self.line.clear()
