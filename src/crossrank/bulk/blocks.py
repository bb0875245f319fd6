"""A run cut into blocks of queries: what is ranked, saved and, after a kill, repeated as a whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from crossrank.documents import Candidate, Document
from crossrank.errors import InputError
from crossrank.evaluation.lines import OnBadLine
from crossrank.evaluation.runs import Run, run_lines, trec_order

if TYPE_CHECKING:
    from crossrank.ranking.reranker import Reranker


@dataclass(frozen=True, slots=True)
class RunQuery:
    """A query of a run.

    Attributes:
        id: Its id.
        text: The question.
        candidates: Ids of the documents to rerank, in first-stage order.
        others: Ids of the documents that keep their order below them.
    """

    id: str
    text: str
    candidates: tuple[str, ...]
    others: tuple[str, ...] = ()


def queries_of_run(
    queries: Mapping[str, str], run: Run, candidates: int | None, on_bad_line: OnBadLine
) -> list[RunQuery]:
    """The run's queries with their candidates, in the run's order.

    Args:
        queries: Query id to question.
        run: Query id to document id to score.
        candidates: How many candidates of a query to rerank; None reranks all.
        on_bad_line: Called with the error for a query of the run that has no text, or a blank one.
    """
    found = []
    for query, scores in run.items():
        if not queries.get(query, "").strip():
            on_bad_line(
                InputError(f"the run has query {query!r}, and there is no text for it among the queries")
            )
            continue
        ids = tuple(trec_order(query, scores))
        depth = len(ids) if candidates is None else candidates
        found.append(RunQuery(query, queries[query], ids[:depth], ids[depth:]))
    return found


def digest(queries: Iterable[RunQuery]) -> str:
    """Identifies what is to be ranked: 32 hexadecimal digits."""
    known = hashlib.blake2b(digest_size=16)
    for query in queries:
        known.update(json.dumps([query.id, query.text, query.candidates, query.others]).encode())
    return known.hexdigest()


def in_blocks(queries: Sequence[RunQuery], size: int) -> list[Sequence[RunQuery]]:
    """The queries in blocks of this size; the last one may be smaller."""
    return [queries[start : start + size] for start in range(0, len(queries), size)]


def packed(block: Sequence[RunQuery], documents: Mapping[str, Document]) -> bytes:
    """A block with the texts of its candidates as JSON, which any machine can rank without other files.

    Candidates whose text is not known are left out.
    """
    return json.dumps(
        [
            {
                "id": query.id,
                "text": query.text,
                "candidates": [
                    [known.id, known.title, known.text]
                    for known in map(documents.get, query.candidates)
                    if known is not None
                ],
                "others": query.others,
            }
            for query in block
        ]
    ).encode()


@dataclass(frozen=True, slots=True)
class RankedBlock:
    """The result of a block.

    Attributes:
        lines: The reranked run of its queries, in TREC's format.
        pairs: Number of pairs of a query and a document that were ranked.
        truncated: How many of them were longer than the model reads.
        notices: Warnings about the rankings, without duplicates.
    """

    lines: str
    pairs: int
    truncated: int
    notices: tuple[str, ...]

    def packed(self) -> bytes:
        """The result as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpacked(cls, result: bytes) -> RankedBlock:
        """The result of :meth:`packed`."""
        found = json.loads(result)
        return cls(**found | {"notices": tuple(found["notices"])})


def rank_block(reranker: Reranker, block: bytes) -> RankedBlock:
    """Rank a :func:`packed` block. Scores are logits; a document without a score follows the others."""
    queries: list[dict[str, Any]] = json.loads(block)
    rankings = reranker.rank_many(
        ((query["text"], _candidates(query["candidates"])) for query in queries),
        activation="none",
        on_truncation="ignore",  # counted below, for the whole run
    )
    run: dict[str, dict[str, float]] = {}
    for query, ranking in zip(queries, rankings, strict=True):
        scored = {hit.document.id: hit.score for hit in ranking if hit.score is not None}
        last = min(scored.values(), default=0.0)
        unscored = [hit.document.id for hit in ranking if hit.score is None]
        below = {name: last - place for place, name in enumerate([*unscored, *query["others"]], start=1)}
        run[query["id"]] = {**scored, **below}
    return RankedBlock(
        "".join(run_lines(run, "crossrank")),
        sum(len(ranking) for ranking in rankings),
        sum(hit.truncated_tokens > 0 for ranking in rankings for hit in ranking),
        tuple(dict.fromkeys(notice for ranking in rankings for notice in ranking.notices)),
    )


def _candidates(rows: Iterable[Sequence[str]]) -> Iterator[Candidate]:
    for rank, (name, title, text) in enumerate(rows, start=1):
        yield Candidate(Document(name, text, title), rank)
