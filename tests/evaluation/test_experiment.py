"""A first stage over a judged collection, and what reranking makes of it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from crossrank import Candidate, Document, Reranker, Searcher
from crossrank.errors import InputError
from crossrank.evaluation import Collection, candidates_of_run, retrieve_candidates, run_experiment
from crossrank.evaluation.experiment import run_of
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.retrieval.memory import MemoryRetriever

_DOCUMENTS = (
    Document("1", "The tide comes twice a day."),
    Document("2", "Bread is baked of flour."),
    Document("3", "Flour is milled, and bread is not."),
)


class InOrder:
    """Finds all documents in their order, whatever is asked: a retriever that knows no scores."""

    def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
        return [Candidate(document, rank) for rank, document in enumerate(_DOCUMENTS[:k], start=1)]


def collection(queries: dict[str, str]) -> Collection:
    return Collection("toy", _DOCUMENTS, queries, {query: {"1": 1} for query in queries})


def found(queries: dict[str, str]) -> dict[str, list[Candidate]]:
    lexical = MemoryRetriever(_DOCUMENTS, retrieval="lexical")
    return retrieve_candidates(collection(queries), lexical)


def test_a_query_that_is_a_document_does_not_find_itself() -> None:
    (candidate,) = found({"2": "Bread is baked of flour."})["2"]
    assert (candidate.document.id, candidate.rank) == ("3", 1)
    # A share of the best that may be found, not of the query's match with itself.
    assert candidate.evidence == {"word_match": 1.0}


def test_a_document_that_only_has_the_querys_number_is_found() -> None:
    assert found({"2": "what bread is baked of"})["2"][0].document.id == "2"
    assert [one.document.id for one in found({"1": "when does water come twice"})["1"]] == ["1"]


@pytest.mark.parametrize("retrieval", ["hybrid", "dense", "lexical"])
def test_what_is_measured_is_what_is_searched(bundled: CrossEncoder, retrieval: str) -> None:
    reranker, embedder = Reranker(bundled), BiEncoder()
    toy = collection({"a": "Of what is bread baked?", "b": "How often does the tide come?"})
    retriever = MemoryRetriever(_DOCUMENTS, retrieval=retrieval, embedder=embedder)  # type: ignore[arg-type]
    experiment = run_experiment(toy, retrieve_candidates(toy, retriever), reranker)
    searcher = Searcher(retriever, model=reranker)
    for query, text in toy.queries.items():
        hits = searcher.search(text, top_n=None)
        assert [hit.document.id for hit in hits] == list(experiment.reranked[query])
        assert [hit.document.id for hit in sorted(hits, key=lambda hit: hit.candidate.rank)] == list(
            experiment.first_stage[query]
        )


def test_any_retriever_is_measured_by_its_order(bundled: CrossEncoder) -> None:
    toy = collection({"a": "Of what is bread baked?", "b": "How often does the tide come?"})
    found: list[int] = []
    experiment = run_experiment(
        toy, retrieve_candidates(toy, InOrder(), progress=found.append), Reranker(bundled)
    )
    assert found == [1, 1]
    assert list(experiment.first_stage["a"]) == ["1", "2", "3"]
    assert experiment.before.means["MRR@10"] == 1.0
    assert next(iter(experiment.reranked["a"])) == "2"
    assert experiment.comparisons["MRR@10"].difference == pytest.approx(
        experiment.after.means["MRR@10"] - 1.0
    )
    report = experiment.to_dict(per_query=True)
    assert report["measures"]["MRR@10"]["first_stage"] == 1.0
    assert report["per_query"]["b"]["reranked"]["MRR@10"] == 1.0


def test_candidates_below_those_reranked_keep_their_places(bundled: CrossEncoder) -> None:
    toy = collection({"a": "Of what is bread baked?"})
    experiment = run_experiment(toy, retrieve_candidates(toy, InOrder()), Reranker(bundled), candidates=2)
    assert list(experiment.reranked["a"]) == ["2", "1", "3"]


def test_a_run_is_ranked_by_the_logit_alone_in_the_order_of_trec_eval(bundled: CrossEncoder) -> None:
    toy = collection({"a": "Of what is bread baked?", "b": "How often does the tide come?"})
    taken = candidates_of_run(toy, {"a": {"1": 2.0, "2": 5.0, "3": 5.0}, "other": {"1": 1.0}})
    assert run_of(taken) == {"a": {"3": 3.0, "2": 2.0, "1": 1.0}}
    assert [candidate.score for candidate in taken["a"]] == [5.0, 5.0, 2.0]
    assert all(not candidate.evidence for candidate in taken["a"])
    experiment = run_experiment(toy, taken, Reranker(bundled))
    assert list(experiment.reranked) == ["a"]
    assert len(experiment.after.per_query) == 2


def test_a_run_of_another_collection_is_refused() -> None:
    toy = collection({"a": "Of what is bread baked?"})
    with pytest.raises(InputError, match="names document '9' for query 'a', which toy does not have"):
        candidates_of_run(toy, {"a": {"1": 2.0, "9": 5.0}})
    with pytest.raises(InputError, match="none of the 1 judged queries of toy"):
        candidates_of_run(toy, {"b": {"1": 2.0}})


def test_what_the_rankings_have_to_say_is_said_once(bundled: CrossEncoder, tiny_embedder: BiEncoder) -> None:
    toy = collection({"a": "Of what is bread baked?", "b": "How often does the tide come?"})
    other = MemoryRetriever(_DOCUMENTS, embedder=tiny_embedder)
    experiment = run_experiment(toy, retrieve_candidates(toy, other), Reranker(bundled))
    (notice,) = experiment.notices
    assert "similarities are not counted" in notice


def test_truncation_is_told_once_for_all_queries(bundled: CrossEncoder) -> None:
    text = "Trains run along the coast. " * 200
    long = Collection("long", (Document("1", text),), {"a": "Trains?", "b": "Who bakes?"}, {"a": {"1": 1}})
    given = {query: [Candidate(long.documents[0], 1)] for query in long.queries}
    experiment = run_experiment(long, given, Reranker(bundled))
    (notice,) = experiment.notices
    assert "2 of 2 candidates are longer" in notice
    assert run_experiment(long, given, Reranker(bundled), long_documents="windows").notices == ()
