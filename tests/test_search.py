from __future__ import annotations

from pathlib import Path

import pytest

from crossrank import Index, InputError, Searcher
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


@pytest.mark.parametrize("retrieval", ["hybrid", "dense", "lexical"])
def test_index_answers_as_the_same_passages_in_memory_do(
    index: Index, tiny: CrossEncoder, tiny_embedder: BiEncoder, retrieval: str
) -> None:
    reranker = Reranker(tiny)
    kept = Searcher(index, model=reranker, retrieval=retrieval)  # type: ignore[arg-type]
    memory = Searcher(TEXTS, model=reranker, retrieval=retrieval, embedder=tiny_embedder)  # type: ignore[arg-type]
    for query in ("who bakes bread at night", "moon"):
        ours, theirs = kept.search(query), memory.search(query)
        assert [hit.text for hit in ours] == [hit.text for hit in theirs]
        assert [hit.score for hit in ours] == [hit.score for hit in theirs]
        assert [hit.stage_ranks for hit in ours] == [hit.stage_ranks for hit in theirs]
        expected = [hit.first_stage_score for hit in theirs]
        assert [hit.first_stage_score for hit in ours] == pytest.approx(expected)


def test_hit_has_the_rank_of_each_stage(index: Index, tiny: CrossEncoder) -> None:
    ranking = Searcher(index, model=Reranker(tiny)).search("who bakes bread", top_n=None)
    by_text = {hit.text: hit.stage_ranks for hit in ranking}
    assert by_text["the baker bakes bread"]["lexical"] == 1
    assert all("dense" in ranks for ranks in by_text.values())
    assert "lexical" not in by_text["bees find flowers"]


def test_searcher_sees_what_is_added_later(index: Index, tiny: CrossEncoder, tmp_path: Path) -> None:
    searcher = Searcher(index, model=Reranker(tiny), retrieval="lexical")
    (tmp_path / "new.txt").write_text("rain in the harbour")
    index.add()
    assert [hit.text for hit in searcher.search("harbour rain")] == ["rain in the harbour"]


def test_filters_need_an_index(tiny: CrossEncoder) -> None:
    searcher = Searcher(TEXTS, model=Reranker(tiny), retrieval="lexical")
    with pytest.raises(InputError, match="crossrank index add"):
        searcher.search("bread", filters="year=1")


def test_index_has_its_own_embedder(index: Index, tiny: CrossEncoder) -> None:
    with pytest.raises(InputError, match="give the embedder to Index"):
        Searcher(index, model=Reranker(tiny), embedder="all-MiniLM-L6-v2")


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_weight_must_be_a_number_above_0(index: Index, tiny: CrossEncoder, weight: float) -> None:
    with pytest.raises(InputError, match="lexical_weight"):
        Searcher(index, model=Reranker(tiny), lexical_weight=weight)
    with pytest.raises(InputError, match="lexical_weight"):
        index.find("bread", 3, lexical_weight=weight)
