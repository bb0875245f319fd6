"""One experiment: a first stage over a judged collection, and what reranking makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from crossrank.errors import InputError
from crossrank.evaluation.collection import Collection
from crossrank.evaluation.runs import Run, untied
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.base import FirstStage
from crossrank.retrieval.first_stage import DenseFirstStage, HybridFirstStage, LexicalFirstStage, words_of

FirstStageName: TypeAlias = Literal["bm25", "dense", "hybrid"]


def first_stage_run(
    collection: Collection,
    first_stage: FirstStageName,
    *,
    depth: int = 100,
    bi_encoder: BiEncoder | None = None,
    similarities: dict[str, dict[str, float]] | None = None,
    word_matches: dict[str, dict[str, float]] | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, dict[str, float]]:
    """Fetch candidates for every query of a collection.

    A document that is the query itself (:func:`own_documents`) is left out: ArguAna's queries are documents.

    Args:
        collection: What is searched.
        first_stage: ``bm25``, ``dense`` or ``hybrid``.
        depth: Candidates a query.
        bi_encoder: The embedder; needed for all but ``bm25``.
        similarities: Filled with the bi-encoder's similarity of every candidate, for :func:`reranked_run`.
        word_matches: Filled with BM25 of every candidate as a share of the best document's, likewise.
        progress: Called with the number of documents embedded since the last call.

    Returns:
        Query id to document id to first-stage score, where equal scores are moved apart
        (:func:`~crossrank.evaluation.runs.untied`), so that measures see the first stage's own order.

    Raises:
        InputError: ``bi_encoder`` is missing.
    """
    stage: FirstStage
    if first_stage == "bm25":
        stage = LexicalFirstStage(collection.documents)
    elif bi_encoder is None:
        raise InputError(f"the first stage {first_stage!r} needs a bi_encoder")
    else:
        kind = DenseFirstStage if first_stage == "dense" else HybridFirstStage
        stage = kind(collection.documents, bi_encoder, progress=progress)
    found = stage.search_many(list(collection.queries.values()), depth + 1)
    words = None if word_matches is None else words_of(collection.documents, stage)
    own_places = own_documents(collection)
    run: dict[str, dict[str, float]] = {}
    for (query, text), candidates in zip(collection.queries.items(), found, strict=True):
        own = own_places.get(query)
        others = [candidate for candidate in candidates if candidate.position != own][:depth]
        kept = [(collection.documents[candidate.position].id, candidate) for candidate in others]
        run[query] = {name: candidate.score for name, candidate in kept}
        if words is not None and word_matches is not None:
            matches = words.word_matches(text, [c.position for c in others], leave_out=own)
            word_matches[query] = dict(zip(run[query], matches, strict=True))
        if similarities is not None:
            similarities[query] = {
                name: candidate.similarity for name, candidate in kept if candidate.similarity is not None
            }
    return untied(run)


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


def reranked_run(
    collection: Collection,
    run: Run,
    reranker: Reranker,
    *,
    depth: int = 100,
    similarities: Run | None = None,
    word_matches: Run | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, dict[str, float]]:
    """Rerank the best candidates of every query.

    Args:
        collection: Where the texts are.
        run: Query id to document id to score; queries without judgements are passed over.
        reranker: What ranks.
        depth: Candidates a query; those below keep their places, under the reranked ones.
        similarities: Query id to document id to the bi-encoder's similarity, as :func:`first_stage_run` fills
            it: ranked is then as a :class:`~crossrank.Searcher` ranks, not by the logit alone.
        word_matches: Likewise.
        progress: Called with the number of candidates scored since the last call.

    Returns:
        Query id to document id to a number that falls from rank to rank (the ranking's order is what counts:
        candidates below ``depth``, and those that the model cannot read, have no logit).

    Raises:
        InputError: The run names a document that the collection does not have, or shares no query with it.
    """
    texts = {document.id: document for document in collection.documents}
    ordered = {
        query: sorted(run[query], key=lambda name, scores=run[query]: -scores[name])  # type: ignore[misc]
        for query in collection.queries
        if query in run
    }
    if not ordered:
        raise InputError(
            f"the run has none of the {len(collection.queries)} judged queries of {collection.name}"
        )
    for query, names in ordered.items():
        if missing := next((name for name in names[:depth] if name not in texts), None):
            raise InputError(
                f"the run names document {missing!r} for query {query!r}, which {collection.name} does not "
                "have; take the run and the collection from the same source"
            )
    rankings = reranker.rank_many(
        [collection.queries[query] for query in ordered],
        [[texts[name] for name in names[:depth]] for names in ordered.values()],
        similarities=_in_order(similarities, ordered, depth),
        word_matches=_in_order(word_matches, ordered, depth),
        progress=progress,
    )
    result: dict[str, dict[str, float]] = {}
    for (query, names), ranking in zip(ordered.items(), rankings, strict=True):
        final = [hit.document.id for hit in ranking] + names[depth:]
        result[query] = {name: float(len(final) - place) for place, name in enumerate(final)}
    return result


def _in_order(
    known: Run | None, ordered: Mapping[str, Sequence[str]], depth: int
) -> list[list[float | None]] | None:
    """What is known of the candidates that are reranked, in their order."""
    if known is None:
        return None
    return [[known.get(query, {}).get(name) for name in names[:depth]] for query, names in ordered.items()]
