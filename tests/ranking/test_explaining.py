from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossrank import CrossEncoder, Document, Reranker
from crossrank.documents import Hit
from crossrank.inference.scorer import PairScorer

QUESTION = "Who bakes bread?"
TEXT = "Trains run along the coast. Every night the bakers of the town bake bread for all. Bees dance."
FILLER = "Trains run along the coast in summer. "


class Counting(CrossEncoder):
    """The bundled model, which keeps what it was asked."""

    asked: list[list[Any]]

    def logits(self, pairs: Any, **options: Any) -> Any:
        self.asked.append(list(pairs))
        return super().logits(pairs, **options)


@pytest.fixture
def model() -> Counting:
    model = Counting()
    model.asked = []
    return model


def parts(hit: Hit) -> list[str]:
    return [hit.text[span.start : span.end] for span in hit.spans]


def words(hit: Hit) -> list[str]:
    return [hit.text[word.start : word.end] for word in hit.spans[0].words]


def test_sentence_that_answers_comes_first_with_its_words(bundled: CrossEncoder) -> None:
    [hit] = Reranker(bundled).rank(QUESTION, [TEXT], explain=True)
    assert parts(hit)[0] == "Every night the bakers of the town bake bread for all."
    assert sorted(parts(hit)) == ["Bees dance.", parts(hit)[0], "Trains run along the coast."]
    weights = [span.weight for span in hit.spans]
    assert 1 > weights[0] > 0.5 > weights[1] >= weights[2] > 0
    assert {"bake", "bread"} & set(words(hit)[:2])
    given = [word.weight for word in hit.spans[0].words]
    assert given[0] == 1
    assert given == sorted(given, reverse=True)
    assert all(not span.words for span in hit.spans[1:])


def test_weight_of_a_sentence_is_its_own_score(bundled: CrossEncoder) -> None:
    [hit] = Reranker(bundled).rank(QUESTION, [Document("1", TEXT, "A title")], explain=True)
    alone = {one.text: one.score for one in Reranker(bundled).rank(QUESTION, parts(hit))}
    assert [span.weight for span in hit.spans] == pytest.approx(
        [alone[text] for text in parts(hit)], abs=1e-5
    )


def test_ranking_is_the_same_and_without_spans_unless_asked_for(bundled: CrossEncoder) -> None:
    texts = [TEXT, "A tide table.", "Bread."]
    plain, explained = (Reranker(bundled).rank(QUESTION, texts, explain=on) for on in (False, True))
    assert [hit.score for hit in plain] == [hit.score for hit in explained]
    assert all(hit.spans == () for hit in plain)
    assert all(hit.spans for hit in explained)
    assert set(plain.timings) == {"rerank"}
    assert set(explained.timings) == {"rerank", "explain"}


def test_all_hits_share_three_calls_and_only_those_shown_are_explained(model: Counting) -> None:
    asked = [
        (QUESTION, [TEXT, "Bread is on the table. So is tea.", "Bees."]),
        ("When do bees dance?", [TEXT]),
    ]
    rankings = Reranker(model).rank_many(asked, top_n=2, explain=True)
    assert len(model.asked) == 4, "the candidates, their sentences, and twice their words"
    assert len(model.asked[1]) == sum(len(hit.spans) for ranking in rankings for hit in ranking)
    for ranking, (query, texts) in zip(rankings, asked, strict=True):
        assert ranking.hits == Reranker(model).rank(query, texts, top_n=2, explain=True).hits


def test_sentences_are_those_of_what_was_read(bundled: CrossEncoder) -> None:
    reranker = Reranker(bundled)
    text = FILLER * 100 + TEXT
    [cut] = reranker.rank(QUESTION, [text], explain=True)
    assert all(span.end <= len(FILLER) * 70 for span in cut.spans)
    [first] = reranker.rank(QUESTION, [text], long_documents="first", explain=True)
    assert first.window
    assert all(span.end <= first.window.end for span in first.spans)
    [whole] = reranker.rank(QUESTION, [text], long_documents="windows", explain=True)
    assert parts(whole)[0] == "Every night the bakers of the town bake bread for all."
    assert whole.window
    assert all(whole.window.start <= span.start < span.end <= whole.window.end for span in whole.spans)


def test_texts_without_words_or_score_have_little_to_explain(bundled: CrossEncoder) -> None:
    hits = Reranker(bundled).rank(QUESTION, ["", " \n", "!!!", "Bread", "潮水每天涨落两次"], explain=True)
    found = {hit.text: hit for hit in hits}
    assert found[""].spans == found[" \n"].spans == found["潮水每天涨落两次"].spans == ()
    for text in ("!!!", "Bread"):
        assert parts(found[text]) == [text]
        assert found[text].spans[0].words == ()
    assert Reranker(bundled).rank(QUESTION, [], explain=True).hits == ()


def test_words_of_scripts_without_spaces_are_found(bundled: CrossEncoder) -> None:
    class Capital(PairScorer):
        name, scoring, scripts, notices = "capital", bundled.scoring, None, ()

        def logits(self, pairs: Any, *, progress: Any = None) -> Any:
            found = ["东京" in passage for _, passage in pairs]
            return np.array(found, np.float32), np.zeros(len(pairs), np.intp)

        def unknown_share(self, text: str) -> float:
            return 0.0

    [hit] = Reranker(Capital()).rank("哪里是首都?", ["大阪很大。东京是日本的首都，人口很多。"], explain=True)
    assert parts(hit)[0] == "东京是日本的首都，人口很多。"
    assert words(hit) == ["东京"]


def test_words_cost_less_than_twice_what_the_sentences_do(model: Counting) -> None:
    texts = [
        f"The harbour of the {town} was built long before the railway came to the coast. In summer the boats "
        "go out at four in the morning, when the tide is high. The bakers of the town bake bread every night "
        "for the people who work there. Nobody knows when the first bridge over the river was opened. The "
        "market is on Friday."
        for town in ("north", "south", "west")
    ]
    Reranker(model).rank(QUESTION, texts, explain=True)
    sentences, *words = (sum(len(one.ids) for one in model.tokenised(pairs)) for pairs in model.asked[1:])
    assert 0 < sum(words) < 2 * sentences
