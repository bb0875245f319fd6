"""Explain hits: which sentence the score comes from, and which of its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from crossrank.documents import Hit, Span
from crossrank.errors import InputError
from crossrank.inference.engines import Progress
from crossrank.inference.pairs import Pair
from crossrank.inference.scorer import PairScorer
from crossrank.ranking.long_documents import parts_of
from crossrank.text.sentences import sentences

# Words of most scripts; of those without spaces, two characters.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{1,2}|[^\W\u3040-\u30ff\u3400-\u9fff]+(?:[-'’][^\W_]+)*")
# In how many parts words are left out, at first and then. Leaving out each word alone would cost several
# times as much as scoring the sentences.
_PARTS = (3, 4)

_Range = tuple[int, int]


@dataclass(slots=True)
class _Explained:
    """A hit with what is known of its sentences so far; the first is the best."""

    query: str
    hit: Hit
    sentences: list[_Range] = field(default_factory=list)
    logits: list[float] = field(default_factory=list)
    words: list[_Range] = field(default_factory=list)
    lost: dict[_Range, float] = field(default_factory=dict)

    def without(self, left_out: _Range) -> str:
        """The best sentence without some of its characters."""
        start, end = self.sentences[0]
        text = self.hit.text
        return f"{text[start : left_out[0]]}{text[left_out[1] : end]}".strip()


def explained(
    model: PairScorer, ranked: Sequence[tuple[str, Sequence[Hit]]], *, progress: Progress | None = None
) -> list[tuple[Hit, ...]]:
    """Hits with their ``spans``.

    Each sentence that was read is scored alone. The words of the best sentence are found by leaving some of
    them out: first in three parts, then the part that matters most in four. All hits share batches, and
    there are three calls of the model.

    Args:
        model: The model.
        ranked: Queries with their hits.
        progress: Called with 0 now and then; may raise to end the work.

    Returns:
        The hits of each query, in order; those without a score have no spans.
    """
    whole = [_Explained(query, hit) for query, hits in ranked for hit in hits]
    scored = [one for one in whole if one.hit.score is not None]
    for one, (start, end) in zip(scored, _read(model, scored), strict=True):
        inside = sentences(one.hit.text[start:end])
        one.sentences = [(start + first, start + last) for first, last in inside]
    scored = [one for one in scored if one.sentences]
    _score_sentences(model, scored, progress)
    for one in scored:
        start, end = one.sentences[0]
        one.words = [match.span() for match in _WORD.finditer(one.hit.text, start, end)]
    for number in _PARTS:
        _leave_out(model, [one for one in scored if len(one.words) > 1], number, progress)
    hits = iter(replace(one.hit, spans=_spans(model, one)) for one in whole)
    return [tuple(islice(hits, len(own))) for _, own in ranked]


def _read(model: PairScorer, scored: Sequence[_Explained]) -> list[_Range]:
    """The part of each text that the score comes from."""
    ranges = [
        (0, len(one.hit.text)) if (window := one.hit.window) is None else (window.start, window.end)
        for one in scored
    ]
    cut = [place for place, one in enumerate(scored) if one.hit.truncated_tokens and not one.hit.window]
    try:
        parts = parts_of(model, [(scored[place].query, scored[place].hit.document) for place in cut], "first")
    except InputError:  # a remote model, of which it is not known where it cuts
        return ranges
    for place, (part,) in zip(cut, parts, strict=True):
        if part.window:
            ranges[place] = (part.window.start, part.window.end)
    return ranges


def _score_sentences(model: PairScorer, scored: Sequence[_Explained], progress: Progress | None) -> None:
    texts = [[one.hit.text[start:end] for start, end in one.sentences] for one in scored]
    pairs = [(one.query, text) for one, own in zip(scored, texts, strict=True) for text in own]
    logits = iter(_logits(model, pairs, progress))
    for one in scored:
        own = list(islice(logits, len(one.sentences)))
        order = sorted(range(len(own)), key=lambda number: -own[number])
        one.sentences = [one.sentences[number] for number in order]
        one.logits = [own[number] for number in order]


def _leave_out(
    model: PairScorer, scored: Sequence[_Explained], number: int, progress: Progress | None
) -> None:
    """Find out which part of the words matters most, and look only at that from then on."""
    parts = [[(part[0][0], part[-1][1]) for part in _split(one.words, number)] for one in scored]
    pairs = [(one.query, one.without(part)) for one, own in zip(scored, parts, strict=True) for part in own]
    logits = iter(_logits(model, pairs, progress))
    for one, own in zip(scored, parts, strict=True):
        one.lost = {part: one.logits[0] - logit for part, logit in zip(own, logits, strict=False)}
        start, end = max(one.lost, key=lambda part: one.lost[part])
        one.words = [word for word in one.words if start <= word[0] and word[1] <= end]


def _split(words: Sequence[_Range], number: int) -> Iterator[Sequence[_Range]]:
    """Words in parts of nearly equal size."""
    for part in np.array_split(np.arange(len(words)), min(number, len(words))):
        yield [words[number] for number in part]


def _logits(model: PairScorer, pairs: Sequence[Pair], progress: Progress | None) -> list[float]:
    called = progress and (lambda _: progress(0))
    logits: list[float] = model.logits(pairs, progress=called)[0].tolist() if pairs else []
    return logits


def _spans(model: PairScorer, one: _Explained) -> tuple[Span, ...]:
    weights = model.scoring.scores(np.array(one.logits, np.float32), "sigmoid").tolist()
    spans = [Span(*where, weight) for where, weight in zip(one.sentences, weights, strict=True)]
    most = max(one.lost.values(), default=0.0)
    if spans and most > 0:
        words = [Span(*where, lost / most) for where, lost in one.lost.items() if lost > 0]
        spans[0] = replace(spans[0], words=tuple(sorted(words, key=lambda word: -word.weight)))
    return tuple(spans)
