from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.tiny_models import write_reranker

from crossrank import Candidate, Document, Index, InputError, Searcher
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.ranking.reranker import Reranker

TEXTS = ["the baker bakes bread", "bees find flowers", "the tide and the moon", "trains leave at night"]


@pytest.fixture
def index(tmp_path: Path, tiny_embedder: BiEncoder) -> Index:
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_text(text)
    index = Index(tmp_path / "index", embedder=tiny_embedder)
    index.add([tmp_path])
    return index


def without_document(candidate: Candidate) -> Candidate:
    return replace(candidate, document=Document("", ""))


@pytest.mark.parametrize("retrieval", ["hybrid", "dense", "lexical"])
def test_index_answers_as_the_same_passages_in_memory_do(
    index: Index, tiny: CrossEncoder, tiny_embedder: BiEncoder, retrieval: str
) -> None:
    reranker = Reranker(tiny)
    kept = Searcher(index.retriever(retrieval=retrieval), model=reranker)  # type: ignore[arg-type]
    memory = Searcher(TEXTS, model=reranker, retrieval=retrieval, embedder=tiny_embedder)  # type: ignore[arg-type]
    for query in ("who bakes bread at night", "moon"):
        ours, theirs = kept.search(query), memory.search(query)
        assert [replace(hit, candidate=without_document(hit.candidate)) for hit in ours] == [
            replace(hit, candidate=without_document(hit.candidate)) for hit in theirs
        ]
        assert [hit.text for hit in ours] == [hit.text for hit in theirs]


def test_hit_has_the_rank_of_each_stage(index: Index, tiny: CrossEncoder) -> None:
    ranking = Searcher(index, model=Reranker(tiny)).search("who bakes bread", top_n=None)
    by_text = {hit.text: hit.candidate.stage_ranks for hit in ranking}
    assert by_text["the baker bakes bread"]["lexical"] == 1
    assert all("dense" in ranks for ranks in by_text.values())
    assert "lexical" not in by_text["bees find flowers"]


def test_searcher_sees_what_is_added_later(index: Index, tiny: CrossEncoder, tmp_path: Path) -> None:
    searcher = Searcher(index.retriever(retrieval="lexical"), model=Reranker(tiny))
    (tmp_path / "new.txt").write_text("rain in the harbour")
    index.add()
    assert [hit.text for hit in searcher.search("harbour rain")] == ["rain in the harbour"]


def test_filters_need_an_index(tiny: CrossEncoder) -> None:
    searcher = Searcher(TEXTS, model=Reranker(tiny), retrieval="lexical")
    with pytest.raises(InputError, match="crossrank index add"):
        searcher.search("bread", filters="year=1")


@pytest.mark.parametrize(
    "options", [{"embedder": "all-MiniLM-L6-v2"}, {"retrieval": "lexical"}, {"lexical_weight": 2.0}]
)
def test_a_retriever_has_its_own_way_to_search(
    index: Index, tiny: CrossEncoder, options: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="are for passages in memory"):
        Searcher(index, model=Reranker(tiny), **options)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_weight_must_be_a_number_above_0(index: Index, tiny: CrossEncoder, weight: float) -> None:
    with pytest.raises(InputError, match="lexical_weight"):
        Searcher(TEXTS, model=Reranker(tiny), lexical_weight=weight)
    with pytest.raises(InputError, match="lexical_weight"):
        index.retriever(lexical_weight=weight)
    with pytest.raises(InputError, match="lexical_weight"):
        index.retrieve("bread", 3, lexical_weight=weight)


def test_there_must_be_passages(tiny: CrossEncoder) -> None:
    with pytest.raises(InputError, match="no passages to search"):
        Searcher([], model=Reranker(tiny))


@pytest.mark.parametrize("options", [{"device": "cpu"}, {"threads": 1}, {"max_length": 16}])
def test_options_of_the_models_are_for_those_that_are_loaded_here(
    options: dict[str, Any], tiny: CrossEncoder
) -> None:
    for model in (tiny, Reranker(tiny)):
        with pytest.raises(InputError, match="loaded already"):
            Searcher(TEXTS, model=model, retrieval="lexical", **options)


def test_searcher_hands_max_length_and_threads_to_its_models(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    text = "the baker bakes bread " * 20
    short, long = (
        Searcher([text], retrieval="lexical", model=folder, threads=1, max_length=length).search("bread")[0]
        for length in (16, None)
    )
    assert short.truncated_tokens > long.truncated_tokens
    assert short.score != long.score


class ListRetriever:
    """Finds texts that share a word with the question: a retriever in few lines, which knows no evidence."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
        wanted = set(query.split())
        found = [text for text in self.texts if wanted & set(text.split())]
        return [Candidate(Document(text, text), rank) for rank, text in enumerate(found[:k], start=1)]


def test_any_retriever_can_be_searched_with(bundled: CrossEncoder) -> None:
    searcher = Searcher(ListRetriever(TEXTS), model=bundled)
    ranking = searcher.search("when do trains leave", candidates=2)
    assert [hit.text for hit in ranking] == ["trains leave at night"]
    assert all(hit.contributions == {"logit": hit.logit} for hit in ranking)
    assert ranking.notices == ()


def test_filters_are_the_retrievers_own(tiny: CrossEncoder) -> None:
    class Filters(ListRetriever):
        def retrieve(self, query: str, k: int, *, filters: str | Iterable[str] = ()) -> list[Candidate]:
            return [one for one in super().retrieve(query, k) if str(filters) in one.document.text]

    searcher = Searcher(Filters(TEXTS), model=tiny)
    assert [hit.text for hit in searcher.search("the bees find", filters="bees")] == ["bees find flowers"]


def test_what_a_retriever_has_to_load_is_loaded_with_the_model(tiny: CrossEncoder) -> None:
    class Loads(ListRetriever):
        loaded = False

        def load(self) -> None:
            self.loaded = True

    retriever = Loads(TEXTS)
    Searcher(retriever, model=tiny)
    assert retriever.loaded


def test_an_index_loads_its_embedder_only_where_vectors_are_searched(
    index: Index, tiny: CrossEncoder
) -> None:
    kept = Index(index.path)
    embedder = kept._embedder
    Searcher(kept.retriever(retrieval="lexical"), model=tiny)
    assert embedder._loaded is None
    Searcher(kept, model=tiny)
    assert embedder._loaded is not None
