"""Read candidates with a cross-encoder: which of them, in which parts, and in which batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from math import isfinite
from typing import NamedTuple, TypeAlias

from crossrank.documents import Candidate, Window
from crossrank.inference.calibration import Calibration
from crossrank.inference.interpolation import EvidenceWeights
from crossrank.inference.scorer import PairScorer
from crossrank.ranking.early_stop import EarlyStop
from crossrank.ranking.effort import Effort
from crossrank.ranking.long_documents import LongDocuments, Part, parts_of

Progress: TypeAlias = Callable[[int], object]


class Output(NamedTuple):
    """The model's output for one candidate.

    Attributes:
        logit: Its logit; of several windows, the mean of the best.
        truncated: How many tokens of it were not read.
        window: The best window; None if it was read at once.
    """

    logit: float
    truncated: int
    window: Window | None = None


class Asked(NamedTuple):
    """One query, its candidates, the places of those that the model can read, and how they are ranked."""

    query: str
    candidates: list[Candidate]
    readable: list[int]
    weights: EvidenceWeights | None
    calibration: Calibration | None
    notices: tuple[str, ...]


class Reading(NamedTuple):
    """How to read: see :meth:`crossrank.Reranker.rank`."""

    top_n: int | None
    effort: Effort
    long_documents: LongDocuments
    best_windows: int


def read(
    model: PairScorer, asked: Sequence[Asked], how: Reading, progress: Progress | None
) -> list[dict[int, Output]]:
    """The model's outputs by the place of the candidate, for each query; only of those that were read."""
    found: list[dict[int, Output]] = [{} for _ in asked]
    stops = [_early_stop(model, one, how) for one in asked]
    # Numbers of readable candidates; without an early stop, all in one block.
    blocks = [
        iter([list(range(len(one.readable)))]) if stop is None else stop.blocks()
        for one, stop in zip(asked, stops, strict=True)
    ]
    # All queries' next blocks at once, which fills the model's batches.
    while wanted := [(query, block) for query, own in enumerate(blocks) if (block := next(own, []))]:
        documents = [
            (one.query, one.candidates[one.readable[number]].document)
            for one, block in ((asked[query], block) for query, block in wanted)
            for number in block
        ]
        parts = parts_of(model, documents, how.long_documents)
        outputs = iter(_outputs(model, [query for query, _ in documents], parts, how.best_windows, progress))
        for query, block in wanted:
            own = list(islice(outputs, len(block)))
            places = (asked[query].readable[number] for number in block)
            found[query].update(zip(places, own, strict=True))
            if stop := stops[query]:
                stop.add(block, [output.logit for output in own])
    if progress and (skipped := sum(len(one.readable) for one in asked) - sum(map(len, found))):
        progress(skipped)
    return found


def _outputs(
    model: PairScorer,
    queries: Sequence[str],
    parts: Sequence[Sequence[Part]],
    best_windows: int,
    progress: Progress | None,
) -> list[Output]:
    """One output for each document, the parts of all documents in the same batches."""
    pairs = [(query, part.text) for query, own in zip(queries, parts, strict=True) for part in own]
    # Progress counts candidates. Calling it also ends the work if nobody waits for it any more.
    called = progress if len(pairs) == len(parts) or not progress else lambda _: progress(0)
    logits, truncated = model.logits(pairs, progress=called)
    if progress and called is not progress:
        progress(len(parts))
    rows = zip(logits.tolist(), truncated.tolist(), strict=True)
    return [_output(own, list(islice(rows, len(own))), best_windows) for own in parts]


def _output(parts: Sequence[Part], rows: Sequence[tuple[float, int]], best_windows: int) -> Output:
    """The mean logit of the best windows, and the best of them."""
    order = sorted(range(len(parts)), key=lambda number: -rows[number][0])
    kept = [rows[number][0] for number in order[:best_windows]]
    unread = sum(part.unread + cut for part, (_, cut) in zip(parts, rows, strict=True))
    return Output(sum(kept) / len(kept), unread, parts[order[0]].window)


def _early_stop(model: PairScorer, one: Asked, how: Reading) -> EarlyStop | None:
    """None if all candidates have to be read."""
    block, weights, top_n = model.block, one.weights, how.top_n
    if block is None or weights is None or not weights.is_bounded:
        return None
    if top_n is None or max(top_n, block) >= len(one.readable):
        return None
    evidence = [one.candidates[place].evidence for place in one.readable]
    if not all(isfinite(weights.combine(0.0, known)) for known in evidence):
        return None  # an error that is reported where all are combined
    return EarlyStop(weights, evidence, top_n=top_n, effort=how.effort, block=block)
