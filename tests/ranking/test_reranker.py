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

from crossrank.documents import Document
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
    ranking = reranker.rank(QUESTION, [TIDE, BAKERS], first_stage_scores=[7, 3])
    first, second = ranking
    assert [first.rank, second.rank] == [1, 2]
    assert [first.text, first.first_stage_rank, first.first_stage_score] == [BAKERS, 2, 3.0]
    assert [second.text, second.first_stage_rank, second.first_stage_score] == [TIDE, 1, 7.0]
    assert first.score is not None
    assert second.score is not None
    assert 1 > first.score > 0.5 > second.score > 0
    assert first.logit == pytest.approx(np.log(first.score / (1 - first.score)), rel=1e-3)
    assert ranking.query == QUESTION
    assert set(ranking.timings) == {"rerank"}
    assert ranking.notices == ()


def test_scores_are_those_of_the_cross_encoder(random_reranker: Reranker, tiny: CrossEncoder) -> None:
    ranking = random_reranker.rank(QUESTION, TEXTS)
    logits, truncated = tiny.logits([(QUESTION, text) for text in TEXTS])
    assert [hit.logit for hit in ranking] == sorted(logits.tolist(), reverse=True)
    for hit in ranking:
        assert hit.logit == logits[hit.first_stage_rank - 1]
        assert hit.truncated_tokens == truncated[hit.first_stage_rank - 1]
    assert max(hit.truncated_tokens for hit in ranking) > 0


def test_candidates_with_equal_logits_keep_first_stage_order(random_reranker: Reranker) -> None:
    same = [Document(str(i), BAKERS, metadata={"i": i}) for i in range(9)]
    ranking = random_reranker.rank(QUESTION, [*same, Document("other", TIDE), *same])
    assert len({hit.logit for hit in ranking}) == 2
    ranks = [hit.first_stage_rank for hit in ranking if hit.text == BAKERS]
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
    scores = [3.0, 2.0, 1.0]
    before = copy.deepcopy(documents[:2])
    ranking = random_reranker.rank(QUESTION, documents, first_stage_scores=scores)
    assert documents[:2] == before
    assert scores == [3.0, 2.0, 1.0]
    by_rank = {hit.first_stage_rank: hit.document for hit in ranking}
    assert [by_rank[1].id, by_rank[2].id] == ["0", "7"]
    assert by_rank[2].metadata == {"page": [1]}
    assert by_rank[3] is documents[2]


def test_title_is_read_before_the_text(random_reranker: Reranker) -> None:
    titled, joined = random_reranker.rank_many(
        [QUESTION] * 2, [[{"text": BAKERS, "title": "Night"}], [f"Night\n{BAKERS}"]]
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
    assert [len(ranking) for ranking in random_reranker.rank_many(["a", "b"], [[], [BAKERS]])] == [0, 1]
    assert random_reranker.rank_many([], []) == []


def test_candidates_may_come_from_a_generator(random_reranker: Reranker) -> None:
    def passages() -> Iterable[str]:
        yield from TEXTS

    assert random_reranker.rank(QUESTION, passages()).hits == random_reranker.rank(QUESTION, TEXTS).hits


def test_rank_many_gives_what_rank_gives(random_reranker: Reranker) -> None:
    queries = [query for query, _ in PAIRS[:4]]
    candidates = [list(TEXTS[i:]) for i in range(4)]
    scores = [[float(len(text)) for text in texts] for texts in candidates]
    many = random_reranker.rank_many(queries, candidates, top_n=4, first_stage_scores=scores)
    for query, texts, known, ranking in zip(queries, candidates, scores, many, strict=True):
        assert ranking.hits == random_reranker.rank(query, texts, top_n=4, first_stage_scores=known).hits
    assert asyncio.run(random_reranker.arank_many(queries, candidates, top_n=4))[1].query == queries[1]


def test_arank_gives_what_rank_gives(random_reranker: Reranker) -> None:
    assert asyncio.run(random_reranker.arank(QUESTION, TEXTS, top_n=2)).hits == (
        random_reranker.rank(QUESTION, TEXTS, top_n=2).hits
    )


def test_progress_counts_every_candidate_once(random_reranker: Reranker) -> None:
    done: list[int] = []
    random_reranker.rank_many([QUESTION, "a tide"], [[BAKERS, BAKERS, TIDE], [TIDE]], progress=done.append)
    assert sum(done) == 4


def test_question_that_the_model_cannot_read_keeps_the_order_and_says_so(reranker: Reranker) -> None:
    ranking = reranker.rank("面包是谁烤的", [TIDE, BAKERS], first_stage_scores=[2, 1], top_n=1)
    assert [(hit.text, hit.score, hit.logit, hit.first_stage_score) for hit in ranking] == [
        (TIDE, None, None, 2.0)
    ]
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
        (QUESTION, [BAKERS], {"first_stage_scores": [1, 2]}, "1 candidates and 2 first-stage scores"),
        (QUESTION, [BAKERS], {"first_stage_scores": []}, "1 candidates and 0 first-stage scores"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    query: Any, documents: Any, options: dict[str, Any], message: str, random_reranker: Reranker
) -> None:
    with pytest.raises(InputError, match=message):
        random_reranker.rank(query, documents, **options)


@pytest.mark.parametrize(
    ("queries", "documents", "scores", "message"),
    [
        ("one question", [[BAKERS]], None, "queries must be a list"),
        (["a", "b"], [[BAKERS]], None, "2 queries and 1 lists of candidates"),
        (["a", "b"], [[BAKERS], [TIDE]], [[1.0]], "2 queries and 1 lists of first-stage scores"),
        (["a"], [[BAKERS]], [], "1 queries and 0 lists of first-stage scores"),
        (["a"], [BAKERS], None, "a single string was given"),
    ],
)
def test_lists_that_do_not_belong_together_are_refused(
    queries: Any, documents: Any, scores: Any, message: str, random_reranker: Reranker
) -> None:
    with pytest.raises(InputError, match=message):
        random_reranker.rank_many(queries, documents, first_stage_scores=scores)


def test_first_stage_scores_may_be_an_array(random_reranker: Reranker) -> None:
    (ranking,) = random_reranker.rank_many(
        [QUESTION],
        [[BAKERS, TIDE]],
        first_stage_scores=np.array([[2.0, 1.0]], np.float32),  # type: ignore[arg-type]
    )
    assert sorted(hit.first_stage_score or 0 for hit in ranking) == [1.0, 2.0]
    assert all(type(hit.first_stage_score) is float for hit in ranking)
