"""An experiment: evaluate a first stage and its reranking on a judged collection.

Candidates are retrieved and ranked in the same way as by a :class:`crossrank.Searcher`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from crossrank.documents import WORD_MATCH, Candidate, Ranking
from crossrank.errors import InputError
from crossrank.evaluation.collection import Collection
from crossrank.evaluation.compare import Comparison, compare
from crossrank.evaluation.measures import Evaluation, evaluate_run
from crossrank.evaluation.runs import Run, trec_order
from crossrank.inference.truncation import truncation_notice
from crossrank.retrieval.base import Retriever
from crossrank.retrieval.bm25 import word_matches

if TYPE_CHECKING:
    from crossrank.inference.interpolation import Interpolation
    from crossrank.ranking.long_documents import LongDocuments
    from crossrank.ranking.reranker import Reranker  # NumPy, which measures alone do not need


@dataclass(frozen=True, slots=True)
class Experiment:
    """The result of an experiment.

    Attributes:
        first_stage: The first stage's run: query id to document id to a number that decreases with the rank.
        reranked: The run after reranking.
        before: The evaluation of the first stage.
        after: The evaluation after reranking.
        notices: Warnings about the rankings, without duplicates.
    """

    first_stage: Run
    reranked: Run
    before: Evaluation
    after: Evaluation
    notices: tuple[str, ...]

    @property
    def comparisons(self) -> dict[str, Comparison]:
        """Comparisons of reranking with the first stage by measure, paired by query."""
        return {measure: compare(self.before, self.after, measure) for measure in self.before.means}

    def to_dict(self, *, per_query: bool = False) -> dict[str, Any]:
        """Plain values: ``measures``, and with ``per_query`` each query's."""
        report: dict[str, Any] = {
            "measures": {measure: one.to_dict() for measure, one in self.comparisons.items()}
        }
        if per_query:
            report["per_query"] = {
                query: {"first_stage": dict(values), "reranked": dict(self.after.per_query[query])}
                for query, values in self.before.per_query.items()
            }
        return report


def run_experiment(
    collection: Collection,
    found: Mapping[str, Sequence[Candidate]],
    reranker: Reranker,
    *,
    candidates: int = 100,
    long_documents: LongDocuments = "truncate",
    interpolation: Interpolation | None = None,
    progress: Callable[[int], object] | None = None,
) -> Experiment:
    """Rerank the first stage's candidates of each query, and evaluate both rankings.

    Args:
        collection: The queries and their judgements.
        found: Query id to candidates, from :func:`retrieve_candidates` or :func:`candidates_of_run`.
        reranker: The reranker.
        candidates: How many candidates to rerank per query; the others keep their order below them.
        long_documents: See :meth:`crossrank.Reranker.rank`.
        interpolation: Weights in place of the model's own, such as those that were learnt for an index
            (:func:`crossrank.search.tuned`).
        progress: Called with the number of candidates scored since the last call.

    Raises:
        MissingExtraError: ``crossrank[eval]`` is not installed.
    """
    rankings = rerank_candidates(
        collection,
        found,
        reranker,
        candidates=candidates,
        long_documents=long_documents,
        interpolation=interpolation,
        progress=progress,
    )
    before, after = run_of(found), reranked_run(found, rankings)
    return Experiment(
        before,
        after,
        evaluate_run(before, collection.qrels),
        evaluate_run(after, collection.qrels),
        _notices(rankings.values(), reranker),
    )


def retrieve_candidates(
    collection: Collection,
    retriever: Retriever,
    *,
    candidates: int = 100,
    progress: Callable[[int], object] | None = None,
) -> dict[str, list[Candidate]]:
    """Fetch candidates for every query of a collection.

    A document that is the query itself (:func:`own_documents`) is left out: ArguAna's queries are documents.
    Word matches are then shares of the best of the others that were found.

    Args:
        collection: The queries, and the documents that the retriever searches.
        retriever: The first stage.
        candidates: How many a query.
        progress: Called with the number of queries done since the last call.

    Returns:
        Query id to candidates, best first.
    """
    own = own_documents(collection)
    found = {}
    for query, text in collection.queries.items():
        if query in own:
            given = retriever.retrieve(text, candidates + 1)
            found[query] = _without(given, collection.documents[own[query]].id)[:candidates]
        else:
            found[query] = retriever.retrieve(text, candidates)
        if progress:
            progress(1)
    return found


def candidates_of_run(collection: Collection, run: Run) -> dict[str, list[Candidate]]:
    """Take candidates from a run that another search engine made; nothing but their scores is known.

    Args:
        collection: Where the texts are.
        run: Query id to document id to score; queries without judgements are passed over.

    Returns:
        Query id to candidates, as trec_eval orders them, for the queries that the run has.

    Raises:
        InputError: The run names a document that the collection does not have, or shares no query with it.
    """
    documents = {document.id: document for document in collection.documents}
    found: dict[str, list[Candidate]] = {}
    for query in collection.queries:
        if query not in run:
            continue
        best = trec_order(query, run[query])
        if missing := next((name for name in best if name not in documents), None):
            raise InputError(
                f"the run names document {missing!r} for query {query!r}, which {collection.name} does not "
                "have; take the run and the collection from the same source"
            )
        found[query] = [
            Candidate(documents[name], rank, run[query][name]) for rank, name in enumerate(best, start=1)
        ]
    if not found:
        raise InputError(
            f"the run has none of the {len(collection.queries)} judged queries of {collection.name}"
        )
    return found


def rerank_candidates(
    collection: Collection,
    found: Mapping[str, Sequence[Candidate]],
    reranker: Reranker,
    *,
    candidates: int = 100,
    long_documents: LongDocuments = "truncate",
    interpolation: Interpolation | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Ranking]:
    """Rerank the best candidates of each query; see :func:`run_experiment` for the arguments.

    Returns:
        Query id to ranking.
    """
    asked = [(collection.queries[query], row[:candidates]) for query, row in found.items()]
    # Of truncation there is one notice about all queries.
    rankings = reranker.rank_many(
        asked,
        long_documents=long_documents,
        interpolation=interpolation,
        on_truncation="ignore",
        progress=progress,
    )
    return dict(zip(found, rankings, strict=True))


def _notices(rankings: Iterable[Ranking], reranker: Reranker) -> tuple[str, ...]:
    """What rankings say, once each, and how much of all candidates was not read."""
    rankings = list(rankings)
    cut = [hit.truncated_tokens for ranking in rankings for hit in ranking]
    remedy = "long_documents='windows' reads whole documents."
    own = truncation_notice(reranker.model.name, cut, "candidates", remedy)
    notices = [notice for ranking in rankings for notice in ranking.notices]
    return tuple(dict.fromkeys([*notices, *filter(None, [own])]))


def run_of(found: Mapping[str, Sequence[Candidate]]) -> dict[str, dict[str, float]]:
    """The order of candidates as a run: query id to document id to a number that falls from rank to rank.

    Of the order alone, since a first stage's scores may be equal, or missing.
    """
    return {query: _falling([one.document.id for one in row]) for query, row in found.items()}


def reranked_run(
    found: Mapping[str, Sequence[Candidate]], rankings: Mapping[str, Ranking]
) -> dict[str, dict[str, float]]:
    """The order of rankings as a run; candidates that were not ranked follow in first-stage order."""
    run = {}
    for query, ranking in rankings.items():
        hits = [hit.document.id for hit in ranking]
        run[query] = _falling(hits + [one.document.id for one in found[query][len(hits) :]])
    return run


def own_documents(collection: Collection) -> dict[str, int]:
    """The documents that are queries themselves: same id, and the query's text within the document's.

    The id alone does not say it: many collections number queries and documents from 1.

    Args:
        collection: A judged collection.

    Returns:
        Query id to the document's position; queries without such a document are not in it.

    Example:
        >>> from crossrank import Document
        >>> documents = [Document("1", "Tides."), Document("2", "Bread is baked.")]
        >>> queries = {"1": "how is bread made", "2": "Bread is baked."}
        >>> own_documents(Collection("toy", documents, queries, {"1": {"2": 1}, "2": {"1": 1}}))
        {'2': 1}
    """
    return {
        document.id: place
        for place, document in enumerate(collection.documents)
        if (text := collection.queries.get(document.id, "").strip()) and text in document.content
    }


def _falling(names: Sequence[str]) -> dict[str, float]:
    return {name: float(len(names) - place) for place, name in enumerate(names)}


def _without(found: Sequence[Candidate], name: str) -> list[Candidate]:
    """The candidates but one; word matches as shares of the best of the others."""
    others = [one for one in found if one.document.id != name]
    known = {
        place: one.evidence[WORD_MATCH] for place, one in enumerate(others) if WORD_MATCH in one.evidence
    }
    matches = word_matches(known)
    return [
        replace(
            one,
            rank=place + 1,
            evidence={**one.evidence, WORD_MATCH: matches[place]} if place in matches else one.evidence,
        )
        for place, one in enumerate(others)
    ]
