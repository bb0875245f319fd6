"""Whether a text is written in scripts that a model can read."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

# First words of the Unicode names of letters that several scripts share, such as the long vowel mark of kana.
_SHARED = frozenset({"MODIFIER", "IDEOGRAPHIC", "KATAKANA-HIRAGANA"})


def unreadable_share(text: str, scripts: frozenset[str]) -> float:
    """The share of a text's letters that are in other scripts than the given ones.

    Args:
        text: Any text. Digits, punctuation, marks, and letters that several scripts share do not count.
        scripts: Scripts by the first word of their letters' Unicode names, such as ``LATIN``, ``GREEK``,
            ``CYRILLIC``, ``HIRAGANA``, or ``CJK`` for Han. Compatibility forms, such as full-width Latin,
            belong to their original script.

    Returns:
        The share of letters in other scripts, from 0.0 to 1.0; 0.0 for a text without letters.

    Example:
        >>> unreadable_share("Tokyo 東京", frozenset({"LATIN"}))
        0.2857142857142857
    """
    if "LATIN" in scripts and text.isascii():
        return 0.0
    readable = unreadable = 0
    for character, count in Counter(text).items():
        script = _script(character)
        if script in scripts:
            readable += count
        elif script is not None:
            unreadable += count
    return unreadable / (readable + unreadable) if unreadable else 0.0


@lru_cache(maxsize=65536)
def _script(character: str) -> str | None:
    if not unicodedata.category(character).startswith("L"):
        return None
    plain = unicodedata.normalize("NFKC", character)[0]
    script = unicodedata.name(plain, "").partition(" ")[0]
    return None if script in _SHARED else script
