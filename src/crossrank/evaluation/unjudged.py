"""Questions that nobody judged, made of a passage's own words."""

from __future__ import annotations

import random
import re

from crossrank.documents import Document

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def make_question(document: Document, chosen: random.Random) -> str:
    """Make a question that a user might ask to find this passage.

    Of twenty questions: seven titles, most of them followed by a few words of the text; seven runs of 3 to 20
    words; three whole sentences; three long beginnings, as in a search for similar texts.

    Args:
        document: The passage.
        chosen: The random number generator.

    Example:
        >>> make_question(Document("1", "Bees see colours.", title="Bees"), random.Random(7)) != ""
        True
    """
    kind = chosen.random()
    words = document.text.split()
    if document.title and kind < 0.35:
        keywords = chosen.sample(words[:60], min(3, len(words))) if chosen.random() < 0.6 else []
        return " ".join([document.title, *keywords])
    sentences = [part for part in _SENTENCE_END.split(document.text) if 20 < len(part) < 300]
    if sentences and kind < 0.85:
        sentence = chosen.choice(sentences)
        if chosen.random() < 0.3:
            return sentence
        parts = sentence.lower().split()
        start = chosen.randrange(max(1, len(parts) - 4))
        return " ".join(parts[start : start + chosen.choice((3, 4, 5, 6, 8, 12, 20))])
    return document.text[: chosen.choice((300, 500, 800))] or document.title
