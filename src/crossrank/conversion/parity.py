"""How near a copy of a model is to its original over the sample texts, and how fast on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.sample_texts import Candidates, sample_candidates
from crossrank.inference.spearman import spearman
from crossrank.inference.vectors import nearest, prepared

Encoder: TypeAlias = CrossEncoder | BiEncoder

# Rounding to int8 leaves 0.999 and 1.0 with MiniLM-L6, and above 0.988 and 0.93 even with tiny random models,
# whose passages hardly differ for them. One garbled matrix brings either far below.
LOWEST_SPEARMAN = 0.98
LOWEST_TOP_10 = 0.9

_ROUNDS = 3
# Every fifth pair is timed: enough for a rate, and large models stay bearable.
_TIMED = 5


@dataclass(frozen=True, slots=True)
class Parity:
    """A copy's numbers next to its original's: logits of a cross-encoder, similarities of a bi-encoder.

    Attributes:
        pairs: How many pairs of question and passage were compared.
        largest_difference: Of two numbers for the same pair.
        mean_difference: The same on average, without sign.
        spearman: Rank correlation of a question's passages, averaged over the questions.
        top_10_agreement: Which share of a question's best ten are among the copy's best ten, on average.
        lowest_cosine: Of a text's two vectors; None for a cross-encoder.
        mean_cosine: The same on average.
    """

    pairs: int
    largest_difference: float
    mean_difference: float
    spearman: float
    top_10_agreement: float
    lowest_cosine: float | None = None
    mean_cosine: float | None = None

    @property
    def keeps_order(self) -> bool:
        """Whether the copy ranks near enough to its original to stand in for it."""
        return self.spearman >= LOWEST_SPEARMAN and self.top_10_agreement >= LOWEST_TOP_10


@dataclass(frozen=True, slots=True)
class Speed:
    """Pairs (cross-encoder) or texts (bi-encoder) a second, the median of three rounds in turn.

    Attributes:
        original: Of the original.
        copy: Of the copy.
    """

    original: float
    copy: float

    @property
    def ratio(self) -> float:
        """How many times as fast the copy is."""
        return self.copy / self.original


def compare(original: Encoder, copy: Encoder) -> Parity:
    """Rank the sample passages with both.

    Args:
        original: The model as its publishers made it.
        copy: One of the same kind.

    Example:
        >>> model = BiEncoder()
        >>> compare(model, model).spearman
        1.0
    """
    samples = sample_candidates()
    if isinstance(original, BiEncoder) and isinstance(copy, BiEncoder):
        (expected, vectors), (given, copied) = _similarities(original, samples), _similarities(copy, samples)
        cosines = (prepared(vectors, "cosine") * prepared(copied, "cosine")).sum(axis=1)
        return _parity(expected, given, float(cosines.min()), float(cosines.mean()))
    return _parity(_logits(original, samples), _logits(copy, samples))


def measure_speed(original: Encoder, copy: Encoder) -> Speed:
    """Run both over the same inputs in turn; they should have run before, so that they are warm."""
    rates: tuple[list[float], list[float]] = ([], [])
    pairs = [(query, text) for query, texts in sample_candidates() for text in texts][::_TIMED]
    for _ in range(_ROUNDS):
        for model, seen in zip((original, copy), rates, strict=True):
            start = time.perf_counter()
            if isinstance(model, BiEncoder):
                model.encode_documents([text for _, text in pairs])
            else:
                model.logits(pairs)
            seen.append(len(pairs) / (time.perf_counter() - start))
    return Speed(*(float(np.median(seen)) for seen in rates))


def _parity(expected: NDArray[np.float32], given: NDArray[np.float32], *cosines: float) -> Parity:
    """Of the numbers [questions, passages] that both rank by."""
    difference = np.abs(given - expected)
    rows = list(zip(expected, given, strict=True))
    return Parity(
        int(expected.size),
        float(difference.max()),
        float(difference.mean()),
        float(np.mean([spearman(*row) for row in rows])),
        float(np.mean([len(_best_ten(a) & _best_ten(b)) / 10 for a, b in rows])),
        *cosines,
    )


def _best_ten(values: NDArray[np.float32]) -> set[int]:
    return set(np.argsort(-values, kind="stable")[:10].tolist())


def _logits(model: Encoder, samples: Sequence[Candidates]) -> NDArray[np.float32]:
    assert isinstance(model, CrossEncoder), "both are of one kind"
    pairs = [(query, text) for query, texts in samples for text in texts]
    return model.logits(pairs)[0].reshape(len(samples), -1)


def _similarities(
    model: BiEncoder, samples: Sequence[Candidates]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Similarities [questions, passages], and the vectors of all questions and passages [texts, d]."""
    queries = model.encode_queries([query for query, _ in samples])
    texts = list(dict.fromkeys(text for _, passages in samples for text in passages))
    vectors = model.encode_documents(texts)
    rows = prepared(vectors, model.similarity)
    compared = [
        nearest(rows[[texts.index(text) for text in passages]], query, model.similarity)
        for query, (_, passages) in zip(prepared(queries, model.similarity), samples, strict=True)
    ]
    return np.stack(compared), np.concatenate([queries, vectors])
