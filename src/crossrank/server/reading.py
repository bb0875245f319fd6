"""Requests whose documents are read in windows or explained: several calls of the model for one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from crossrank.documents import Candidate, Document, Hit, Span, Window
from crossrank.errors import CrossrankError
from crossrank.ranking.explaining import explained
from crossrank.ranking.reading import Asked, Output, Reading, read
from crossrank.server.answering import answers_of, as_request_error
from crossrank.server.models import ServedModel
from crossrank.server.queue.job import Cut, Scored
from crossrank.server.queued import QueuedCrossEncoder
from crossrank.server.request import RerankAnswer, RerankRequest, Result

Progress = Callable[[int], object]


def needs_reading(requests: Sequence[RerankRequest]) -> bool:
    """Whether documents are to be read in windows or explained."""
    return any(request.explain or request.long_documents != "truncate" for request in requests)


def answers_by_reading(
    requests: Sequence[RerankRequest], served: ServedModel, max_tokens: int | None, progress: Progress
) -> tuple[list[RerankAnswer], Scored]:
    """The answers, and what the model did for them.

    Args:
        requests: The requests of one body.
        served: The model.
        max_tokens: The tokens that the model may read for one call of it.
        progress: Called now and then; raises if the caller has left.

    Raises:
        RequestError: The request cannot be answered.
    """
    model = QueuedCrossEncoder(served, Cut(max_tokens=max_tokens))
    try:
        answers = [_answer(request, model, served, progress) for request in requests]
    except CrossrankError as error:
        raise as_request_error(error, requests) from error
    done = model.done
    return answers, Scored(
        np.concatenate([one.logits for one in done]),
        np.concatenate([one.truncated for one in done]),
        np.concatenate([one.tokens for one in done]),
        sum(one.tokenisation for one in done),
        sum(one.waiting for one in done),
        sum(one.inference for one in done),
    )


def _answer(
    request: RerankRequest, model: QueuedCrossEncoder, served: ServedModel, progress: Progress
) -> RerankAnswer:
    before = len(model.done)
    texts, starts, removed = _shortened(request, served)
    candidates = [Candidate(Document(str(place), text), place + 1) for place, text in enumerate(texts)]
    asked = Asked(request.query, candidates, list(range(len(texts))), None, None, ())
    how = Reading(None, "full", request.long_documents, request.best_windows)
    [found] = read(model, [asked], how, progress)
    outputs = [found[place] for place in range(len(texts))]
    truncated = [output.truncated + gone for output, gone in zip(outputs, removed, strict=True)]
    logits = np.array([output.logit for output in outputs], np.float32)
    scored = Scored(logits, np.array(truncated, np.intp), np.zeros(len(texts), np.intp))
    if request.long_documents == "first":  # what follows the first window was left out on purpose
        request = replace(request, truncate=True)
    [answer] = answers_of([request], scored, served.get(), served.name)
    spans = _spans(request, model, candidates, outputs, answer, progress)
    results = [
        replace(
            result,
            window=_moved(outputs[result.index].window, starts[result.index]),
            spans=tuple(_moved_span(span, starts[result.index]) for span in spans.get(result.index, ())),
        )
        for result in answer.results
    ]
    tokens = sum(int(one.tokens.sum()) for one in model.done[before:])
    return replace(answer, results=results, all_tokens=tokens)


def _shortened(request: RerankRequest, served: ServedModel) -> tuple[list[str], list[int], list[int]]:
    """The texts to read, where they begin in the documents, and how many tokens of each were left out."""
    texts = [document.text for document in request.documents]
    keep_end = request.keep_end and request.long_documents == "truncate"
    if not keep_end and request.document_tokens is None and request.pair_tokens is None:
        return texts, [0] * len(texts), [0] * len(texts)
    shortened = served.get().shortened(
        request.pairs,
        passage_tokens=request.document_tokens,
        pair_tokens=request.pair_tokens,
        keep_end=keep_end,
    )
    kept = [text for (_, text), _ in shortened]
    starts = [len(text) - len(own) if keep_end else 0 for text, own in zip(texts, kept, strict=True)]
    return kept, starts, [tokens for _, tokens in shortened]


def _spans(
    request: RerankRequest,
    model: QueuedCrossEncoder,
    candidates: Sequence[Candidate],
    outputs: Sequence[Output],
    answer: RerankAnswer,
    progress: Progress,
) -> dict[int, tuple[Span, ...]]:
    """The spans of the results that are named, by their index."""
    if not request.explain:
        return {}
    best: list[Result] = answer.best()
    hits = [
        Hit(
            candidates[result.index],
            rank,
            result.score,
            result.logit,
            truncated_tokens=outputs[result.index].truncated,
            window=outputs[result.index].window,
        )
        for rank, result in enumerate(best, start=1)
    ]
    [found] = explained(model, [(request.query, hits)], progress=progress)
    return {result.index: hit.spans for result, hit in zip(best, found, strict=True)}


def _moved(window: Window | None, by: int) -> Window | None:
    return window and replace(window, start=window.start + by, end=window.end + by)


def _moved_span(span: Span, by: int) -> Span:
    words = tuple(_moved_span(word, by) for word in span.words)
    return Span(span.start + by, span.end + by, span.weight, words)
