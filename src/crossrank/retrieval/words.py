"""How texts and questions become words for SQLite's FTS5."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from itertools import pairwise

from crossrank.errors import CrossrankError

# Scripts written without spaces between words, or, as Korean, with endings attached. Each of their
# characters is indexed as a word of its own, and neighbours are searched as a phrase: two for kana, Han and
# Hangul, where most words have two; three for the alphabets of South-East Asia. (FTS5's own trigrams find no
# word of two characters: nDCG@10 on xquad_zh is 0.88 with them, 0.95 with characters alone, 0.97 with both.)
_HAN = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_SOUTH_EAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_UNSPACED = re.compile(f"[{_HAN}{_SOUTH_EAST_ASIAN}]")
# Vowel signs and the like, which FTS5 and Python's \\w take for the end of a word, belong to it: FTS5 then
# searches what stands between them as one phrase.
_MARKS = "".join(chr(code) for code in range(0x300, 0xAC00) if unicodedata.category(chr(code))[0] == "M")
_PART = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<asian>[{_SOUTH_EAST_ASIAN}]+)"
    rf"|(?:(?![{_HAN}{_SOUTH_EAST_ASIAN}])[^\W_][{_MARKS}]*)+"
)
_LETTER = re.compile(r"[^\W_]")
# Words that occur in any question, whatever it is about.
_ENGLISH = """
a about an and are as at be been but by can could did do does for from had has have he how i if in into is it
its me my no not of on or our she should so such than that the their then there these they this to was we
were what when where which who whom whose why will with would you your
"""
_STOP_WORDS = frozenset(_ENGLISH.split())


def create_words_table(database: sqlite3.Connection, name: str) -> None:
    """Create an FTS5 table of words without case, accents and English endings, and without the texts.

    Raises:
        CrossrankError: Python's SQLite was built without FTS5.
    """
    try:
        # content='' stores only the positions of words; the texts are stored elsewhere.
        database.execute(
            f"CREATE VIRTUAL TABLE {name} "
            "USING fts5(text, content='', tokenize='porter unicode61 remove_diacritics 2')"
        )
    except sqlite3.OperationalError as error:
        if "no such module" not in str(error):
            raise
        raise CrossrankError(
            f"lexical search needs SQLite with FTS5, which this Python lacks ({error}); "
            "use a Python from python.org, conda or your distribution, or search by vectors alone"
        ) from error


def indexed_text(text: str) -> str:
    """A text prepared for FTS5: valid Unicode, with spaces where its tokenizer needs them.

    Example:
        >>> indexed_text("住在 Tokyo")
        ' 住  在  Tokyo'
    """
    if text.isascii():
        return text
    return _UNSPACED.sub(r" \g<0> ", _normal(text))


def match_expression(query: str) -> str:
    """Convert a query to an FTS5 expression; nothing in the query is read as query syntax.

    A word that occurs twice counts twice, as in the vector space model (Salton and McGill, 1983). Stop words
    are left out, unless the query consists of stop words only.

    Args:
        query: Any text.

    Returns:
        Quoted words and phrases, joined by OR; empty if the query has no words.

    Example:
        >>> match_expression('What is C++ AND (NOT "x*?')
        '"C" OR "x"'
    """
    words: list[str] = []
    for part in _PART.finditer(_normal(query)):
        characters = part[0]
        if part["han"]:
            words += [" ".join(two) for two in pairwise(characters)]
            words += characters
        elif part["asian"]:
            letters = _LETTER.findall(characters)
            words += [" ".join(three) for three in zip(letters, letters[1:], letters[2:], strict=False)]
            words += [" ".join(letters)] if 0 < len(letters) < 3 else []
        else:
            words.append(characters)
    # A stop word in capitals is a name: WHO, IT. But AND, OR and NOT are operators in many search engines.
    kept = [word for word in words if not _is_stop_word(word)]
    return " OR ".join(f'"{word}"' for word in kept or words)


def _normal(text: str) -> str:
    """Valid Unicode in normal form: half-width kana, ligatures and accents are unified."""
    return unicodedata.normalize("NFKC", text.encode("utf-8", errors="replace").decode("utf-8"))


def _is_stop_word(word: str) -> bool:
    is_name = len(word) > 1 and word.isupper() and word not in ("AND", "OR", "NOT")
    return word.lower() in _STOP_WORDS and not is_name
