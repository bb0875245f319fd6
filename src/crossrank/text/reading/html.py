"""HTML: the text that a browser would show."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.text.naming import without_surrogates
from crossrank.text.notices import Notify, repaired
from crossrank.text.reading.decoding import refuse_binary
from crossrank.text.reading.parts import text_documents

# A page is parsed as a whole, which takes a few times its size in memory, and about a second for a few MB.
_LARGEST = 50_000_000
# UTF-32's little-endian mark begins with UTF-16's.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_DECLARED = re.compile(
    rb"""\A\s*<\?xml\b[^>]*?\bencoding\s*=\s*["']([^"'>]+)|<\s*meta\b[^>]*?\bcharset\s*=\s*["']?([^\s"'/;>]+)""",
    re.IGNORECASE,
)
_DECLARED_WITHIN = 2048
# Elements without an end tag (https://html.spec.whatwg.org/multipage/syntax.html#void-elements).
_VOID = frozenset(
    """area base br col embed hr img input link meta param source track wbr""".split()  # noqa: SIM905 - as below
)
_DROPPED = frozenset({"noscript", "rp", "rt", "script", "style", "template", "title"})
_LINES = frozenset(
    """address article aside body br caption center dd details dialog div dl dt fieldset figcaption figure
    footer form frame header hgroup hr html legend li main menu nav noframes option section summary tbody
    tfoot thead tr""".split()  # noqa: SIM905 - a list of forty names is a page
)
_PARAGRAPHS = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"})
_CELLS = frozenset({"td", "th"})


def read_html(path: Path, name: str, notify: Notify, part_characters: int | None) -> Iterator[Document]:
    """Read the text of a page: one line per block, blank lines around paragraphs, headings, lists and tables.

    Offsets are relative to this text, not to the file, which also contains tags.
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise InputError(
            f"{name} is HTML of more than {_LARGEST // 1_000_000} MB; split it into smaller pages"
        )
    page = _Page(name)
    page.read(_decode(data, name, notify))
    title = " ".join("".join(page.title or []).split())
    text = without_surrogates("".join(page.text.pieces))
    yield from text_documents([text], name, part_characters, title=without_surrogates(title))


def _decode(data: bytes, name: str, notify: Notify) -> str:
    """Decode by the byte order mark, else the declared encoding, else UTF-8 if valid, else Windows-1252.

    Windows-1252 is the HTML standard's fallback (https://html.spec.whatwg.org/multipage/parsing.html).
    """
    mark = next((mark for mark in _MARKS if data.startswith(mark)), None)
    if mark is None:
        refuse_binary(data, name)
    encoding = _declared(data[:_DECLARED_WITHIN]) if mark is None else _MARKS[mark]
    data = data.removeprefix(mark or b"")
    for candidate in [encoding] if encoding else ["utf-8", "windows-1252"]:
        try:
            return data.decode(candidate)
        except UnicodeDecodeError:
            encoding = candidate
    notify(repaired(name, str(encoding)))
    return data.decode(encoding or "utf-8", errors="replace")


def _declared(beginning: bytes) -> str | None:
    """The declared encoding, except UTF-16: a declaration that can be read as ASCII is not UTF-16."""
    found = _DECLARED.search(beginning)
    try:
        encoding = (found[1] or found[2]).decode("ascii").lower() if found else ""
        return encoding if b"a".decode(encoding) == "a" else None
    except (LookupError, UnicodeError):
        return None


class _Page(HTMLParser):
    """Converts a page to text while parsing; instead of a tree, it only keeps the open elements."""

    def __init__(self, name: str) -> None:
        super().__init__(convert_charrefs=True)
        self.name = name
        self.title: list[str] | None = None
        self.text = _Blocks()
        self._open: list[str] = []
        self._count: Counter[str] = Counter()
        self._hidden = 0
        self._in_title = False

    def read(self, markup: str) -> None:
        """Parse a whole page.

        Raises:
            InputError: Python's parser fails.
        """
        # No tag ends after the last ">", and for each "<" there the parser would search the rest of the file.
        whole, end, cut = markup.rpartition(">")
        try:
            self.feed(whole + end + cut.replace("<", "&lt;"))
            self.close()
        except AssertionError as error:
            raise InputError(f"{self.name} cannot be read as HTML: {error}") from error
        self.text.end(0)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Begin an element."""
        if tag == "title" and self.title is None and not self._count["svg"]:
            self.title, self._in_title = [], True
        self._hidden += tag in _DROPPED
        if not self._hidden:
            self.text.enter(tag)
        if tag not in _VOID:
            self._open.append(tag)
            self._count[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        """End the innermost open element of this name, and the open elements inside it."""
        while self._count[tag]:
            ended = self._open.pop()
            self._count[ended] -= 1
            if not self._hidden:
                self.text.leave(ended)
            self._hidden -= ended in _DROPPED
            self._in_title = self._in_title and ended != "title"
            if ended == tag:
                return

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self._in_title and self.title is not None:
            self.title.append(data)
        elif not self._hidden:
            self.text.line.append(data)

    def unknown_decl(self, data: str) -> None:
        """Take the text of a CDATA section."""
        if data.startswith("CDATA["):
            self.handle_data(data.removeprefix("CDATA["))


class _Blocks:
    """The text so far, and the current line."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.line: list[str] = []
        self._gap = 0
        self._preformatted = 0

    def enter(self, tag: str) -> None:
        self._mark(tag)
        self._preformatted += tag == "pre"

    def leave(self, tag: str) -> None:
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
        """End the line, with at least ``gap`` line feeds before the next one."""
        text = "".join(self.line)
        text = text.replace("\r\n", "\n").strip("\n") if self._preformatted else " ".join(text.split())
        if text.strip():
            self.pieces += ["\n" * self._gap if self.pieces else "", text]
            self._gap = 0
        self._gap = max(self._gap, gap)
        self.line.clear()
