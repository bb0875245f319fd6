from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import PAIRS, TEXTS, save, write_reranker

from crossrank.documents import Candidate, Document
from crossrank.errors import InputError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.ranking.reranker import Reranker

QUESTION = "who bakes bread"
BAKERS, TIDE = "Bakers bake bread at night.", "The tide turns twice a day."
CHINESE = "潮水每天涨落两次"


@pytest.fixture(scope="module")
def reranker(bundled: CrossEncoder) -> Reranker:
    return Reranker(bundled)


@pytest.fixture(scope="module")
def random_reranker(tiny: CrossEncoder) -> Reranker:
    return Reranker(tiny)


def test_relevant_passage_comes_first_with_every_number(reranker: Reranker) -> None:
    tide, bakers = Candidate(Document("t", TIDE), 1, 7.0), Candidate(Document("b", BAKERS), 2, 3.0)
    ranking = reranker.rank(QUESTION, [tide, bakers])
    first, second = ranking
    assert [first.rank, second.rank] == [1, 2]
    assert [first.candidate, second.candidate] == [bakers, tide]
    assert [first.text, first.document] == [BAKERS, bakers.document]
    assert first.score is not None
    assert second.score is not None
    assert 1 > first.score > 0.5 > second.score > 0
    assert first.logit == pytest.approx(np.log(first.score / (1 - first.score)), rel=1e-3)
    assert first.contributions == {"logit": first.logit}
    assert (ranking.query, ranking.activation) == (QUESTION, "sigmoid")
    assert set(ranking.timings) == {"rerank"}
    assert ranking.notices == ()


def test_scores_are_those_of_the_cross_encoder(random_reranker: Reranker, tiny: CrossEncoder) -> None:
    ranking = random_reranker.rank(QUESTION, TEXTS)
    logits, truncated = tiny.logits([(QUESTION, text) for text in TEXTS])
    assert [hit.logit for hit in ranking] == sorted(logits.tolist(), reverse=True)
    for hit in ranking:
        assert hit.logit == logits[hit.candidate.rank - 1]
        assert hit.truncated_tokens == truncated[hit.candidate.rank - 1]
    assert max(hit.truncated_tokens for hit in ranking) > 0


def test_candidates_with_equal_logits_keep_first_stage_order(random_reranker: Reranker) -> None:
    same = [Document(str(i), BAKERS, metadata={"i": i}) for i in range(9)]
    ranking = random_reranker.rank(QUESTION, [*same, Document("other", TIDE), *same])
    assert len({hit.logit for hit in ranking}) == 2
    ranks = [hit.candidate.rank for hit in ranking if hit.text == BAKERS]
    assert ranks == sorted(ranks)
    assert len(ranks) == 18


def test_order_is_by_logit_where_the_scores_are_full(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.weight"] *= 1000
    save(folder, tensors)
    ranking = Reranker(folder).rank(QUESTION, TEXTS)
    logits = [hit.logit for hit in ranking]
    assert len({hit.score for hit in ranking}) < len(set(logits))
    assert logits == sorted(logits, reverse=True)  # type: ignore[type-var]


def test_what_is_given_is_not_changed(random_reranker: Reranker) -> None:
    documents: list[Any] = [
        BAKERS,
        {"id": 7, "text": TIDE, "title": "Tides", "metadata": {"page": [1]}},
        Document("d", "a map of the town", metadata=MappingProxyType({"k": "v"})),
    ]
    before = copy.deepcopy(documents[:2])
    ranking = random_reranker.rank(QUESTION, documents)
    assert documents[:2] == before
    by_rank = {hit.candidate.rank: hit.document for hit in ranking}
    assert [by_rank[1].id, by_rank[2].id] == ["0", "7"]
    assert by_rank[2].metadata == {"page": [1]}
    assert by_rank[3] is documents[2]


def test_title_is_read_before_the_text(random_reranker: Reranker) -> None:
    titled, joined = random_reranker.rank_many(
        [(QUESTION, [{"text": BAKERS, "title": "Night"}]), (QUESTION, [f"Night\n{BAKERS}"])]
    )
    assert titled[0].logit == joined[0].logit


@pytest.mark.parametrize("top_n", [1, 3, 100])
def test_top_n_are_the_first_of_all(top_n: int, random_reranker: Reranker) -> None:
    everything = random_reranker.rank(QUESTION, TEXTS)
    assert random_reranker.rank(QUESTION, TEXTS, top_n=top_n).hits == everything.hits[:top_n]


def test_activation_changes_the_score_and_not_the_logit(random_reranker: Reranker) -> None:
    plain = random_reranker.rank(QUESTION, TEXTS, activation="none")
    assert [hit.score for hit in plain] == [hit.logit for hit in plain]
    assert [hit.logit for hit in plain] == [hit.logit for hit in random_reranker.rank(QUESTION, TEXTS)]


def test_no_candidates_make_an_empty_ranking(random_reranker: Reranker) -> None:
    assert random_reranker.rank(QUESTION, []).hits == ()
    assert [len(ranking) for ranking in random_reranker.rank_many([("a", []), ("b", [BAKERS])])] == [0, 1]
    assert random_reranker.rank_many([]) == []


def test_candidates_may_come_from_a_generator(random_reranker: Reranker) -> None:
    def passages() -> Iterable[str]:
        yield from TEXTS

    assert random_reranker.rank(QUESTION, passages()).hits == random_reranker.rank(QUESTION, TEXTS).hits


def test_rank_many_gives_what_rank_gives(random_reranker: Reranker) -> None:
    asked = [(query, list(TEXTS[place:])) for place, (query, _) in enumerate(PAIRS[:4])]
    many = random_reranker.rank_many(asked, top_n=4)
    for (query, texts), ranking in zip(asked, many, strict=True):
        assert ranking.hits == random_reranker.rank(query, texts, top_n=4).hits
    assert random_reranker.rank_many(iter(asked), top_n=4)[2].hits == many[2].hits
    assert asyncio.run(random_reranker.arank_many(asked, top_n=4))[1].query == asked[1][0]


def test_arank_gives_what_rank_gives(random_reranker: Reranker) -> None:
    assert asyncio.run(random_reranker.arank(QUESTION, TEXTS, top_n=2)).hits == (
        random_reranker.rank(QUESTION, TEXTS, top_n=2).hits
    )


def test_progress_counts_every_candidate_once(random_reranker: Reranker) -> None:
    done: list[int] = []
    asked = [(QUESTION, [BAKERS, BAKERS, TIDE]), ("a tide", [TIDE])]
    random_reranker.rank_many(asked, progress=done.append)
    assert sum(done) == 4


def test_question_that_the_model_cannot_read_keeps_the_order_and_says_so(reranker: Reranker) -> None:
    ranking = reranker.rank("面包是谁烤的", [TIDE, BAKERS], top_n=1)
    (hit,) = ranking
    assert (hit.text, hit.score, hit.logit, hit.combined_logit) == (TIDE, None, None, None)
    assert hit.contributions == {}
    (notice,) = ranking.notices
    assert "cannot read the question" in notice
    assert "first-stage order is kept" in notice


def test_candidates_that_the_model_cannot_read_follow_in_their_order(reranker: Reranker) -> None:
    ranking = reranker.rank(QUESTION, [CHINESE, TIDE, CHINESE * 2, BAKERS])
    assert [hit.text for hit in ranking] == [BAKERS, TIDE, CHINESE, CHINESE * 2]
    assert [hit.score is None for hit in ranking] == [False, False, True, True]
    (notice,) = ranking.notices
    assert "cannot read 2 of 4 candidates" in notice


def test_signs_that_the_vocabulary_lacks_are_not_read(reranker: Reranker) -> None:
    assert [hit.score is None for hit in reranker.rank(QUESTION, [BAKERS, "𝄞𝄢𝄡 ꙮ 🜁🜂"])] == [False, True]


@pytest.mark.parametrize("text", ["", "Zürich, Łódź — 42 €", "Kyoto (京都) is a city of bread and bakers"])
def test_texts_of_the_models_own_script_are_read(text: str, reranker: Reranker) -> None:
    assert reranker.rank(QUESTION, [text])[0].score is not None


def test_notices_of_a_model_are_in_every_ranking(bundled: CrossEncoder) -> None:
    model = copy.copy(bundled)
    model.notices = ("slower today.",)
    assert Reranker(model).rank(QUESTION, [BAKERS]).notices == ("slower today.",)


@pytest.mark.parametrize(
    ("query", "documents", "options", "message"),
    [
        ("", [BAKERS], {}, "question is empty"),
        (" \n", [BAKERS], {}, "question is empty"),
        (None, [BAKERS], {}, "must be a string; it is NoneType"),
        ("half \ud83d", [BAKERS], {}, "lone surrogates"),
        (QUESTION, BAKERS, {}, "a single string was given"),
        (QUESTION, [BAKERS, 3], {}, "document 1 must be"),
        (QUESTION, ["half \ud83d"], {}, "lone surrogates"),
        (QUESTION, [BAKERS], {"top_n": 0}, "top_n must be at least 1; it is 0"),
        (QUESTION, [BAKERS], {"top_n": -2}, "top_n must be at least 1; it is -2"),
        (QUESTION, [BAKERS], {"activation": "softmax"}, "it is 'softmax'"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    query: Any, documents: Any, options: dict[str, Any], message: str, random_reranker: Reranker
) -> None:
    with pytest.raises(InputError, match=message):
        random_reranker.rank(query, documents, **options)


@pytest.mark.parametrize(
    ("asked", "message"),
    [([("", [BAKERS])], "question is empty"), ([(QUESTION, BAKERS)], "a single string was given")],
)
def test_many_queries_are_checked_as_one_is(asked: Any, message: str, random_reranker: Reranker) -> None:
    with pytest.raises(InputError, match=message):
        random_reranker.rank_many([(QUESTION, [TIDE]), *asked])


def test_candidates_keep_the_ranks_that_their_first_stage_gave(random_reranker: Reranker) -> None:
    found = [Candidate(Document(str(rank), text), rank) for rank, text in ((4, BAKERS), (9, TIDE))]
    ranking = random_reranker.rank(QUESTION, [*found, "a third text"])
    assert {hit.text: hit.candidate.rank for hit in ranking} == {BAKERS: 4, TIDE: 9, "a third text": 3}


@pytest.mark.parametrize("options", [{"threads": 1}, {"device": "cpu"}, {"max_length": 32}])
def test_options_of_a_model_that_is_loaded_already_are_refused(
    options: dict[str, Any], tiny: CrossEncoder
) -> None:
    with pytest.raises(InputError, match="loaded already"):
        Reranker(tiny, **options)


def test_max_length_cuts_what_the_model_reads(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    short, long = Reranker(folder, max_length=16), Reranker(folder)
    passage = "the baker bakes bread " * 20
    assert (
        short.rank(QUESTION, [passage])[0].truncated_tokens
        > long.rank(QUESTION, [passage])[0].truncated_tokens
    )
