"""How large an embedder's similarities are, measured on the sample texts."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

import numpy as np

from crossrank.errors import InputError
from crossrank.inference.interpolation import SimilarityScale
from crossrank.inference.machine_cache import remember, remembered
from crossrank.inference.sample_texts import sample_candidates
from crossrank.inference.vectors import prepared, similarities
from crossrank.retrieval.base import Embedder

_KIND = "similarities"
# Of the sample texts: all questions, and the short passages of some. More change the deviation by 2% at most.
_WITH_PASSAGES, _PASSAGES = 2, 24
# What this process has measured, also where the cache folder cannot be written to.
_known: dict[str, SimilarityScale | None] = {}


def similarity_scale(embedder: Embedder) -> SimilarityScale | None:
    """Measure an embedder's similarities between questions and passages of the sample texts.

    It embeds about fifty short texts, once: the result is kept in the user's cache folder, by the embedder's
    fingerprint.

    Returns:
        The scale; None if it cannot be measured: a vector has values that are not numbers, or all passages
        are equally similar.

    Example:
        >>> from crossrank import BiEncoder
        >>> scale = similarity_scale(BiEncoder())
        >>> round(scale.mean, 1), round(scale.deviation, 1)
        (0.1, 0.1)
    """
    key = embedder.fingerprint
    if key not in _known:
        found = _kept(key)
        if found is None and (found := _measured(embedder)):
            remember(_KIND, key, dataclasses.asdict(found))
        _known[key] = found
    return _known[key]


def _kept(key: str) -> SimilarityScale | None:
    with suppress(TypeError, ValueError):
        return SimilarityScale(**remembered(_KIND, key))
    return None


def _measured(embedder: Embedder) -> SimilarityScale | None:
    samples = sample_candidates()
    passages = dict.fromkeys(text for _, texts in samples[:_WITH_PASSAGES] for text in texts[:_PASSAGES])
    questions = [question for question, _ in samples]
    with suppress(InputError, ValueError):
        rows = prepared(embedder.encode_documents(list(passages)), embedder.similarity)
        queries = prepared(embedder.encode_queries(questions), embedder.similarity)
        found = np.array([similarities(rows, query, embedder.similarity) for query in queries])
        return SimilarityScale(float(found.mean()), float(found.std()))
    return None
