from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_models import TEXTS, write_reranker

from crossrank import Index, Reranker, Searcher
from crossrank.errors import InputError, ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.scores import Weights
from crossrank.retrieval.bm25 import BM25Index

QUESTION = "who bakes bread"
PASSAGES = list(TEXTS[:4])
SIMILARITIES = [0.1, 0.9, 0.3, 0.5]
SENTENCES = ["The baker sells bread.", "Bread and butter.", "A tide table.", "The train leaves at ten."]
WORDS = [0.2, 0.0, 1.0, 0.4]
BY_SIMILARITY = {"logit": 0.5, "similarity": 40.0, "constant": -20.0}
BY_WORDS = {"logit": 0.4, "word_match": 8.0, "constant": -3.0}
BY_BOTH = {"logit": 0.3, "similarity": 10.0, "word_match": 20.0, "constant": -9.0}


def model_with(folder: Path, settings: object) -> CrossEncoder:
    write_reranker(folder)
    (folder / "crossrank.json").write_text(json.dumps(settings))
    return CrossEncoder(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    own = {"embedder": "all-MiniLM-L6-v2", "weights": [BY_SIMILARITY, BY_WORDS, BY_BOTH]}
    return model_with(tmp_path_factory.mktemp("model") / "reranker", {"interpolation": own})


@pytest.mark.parametrize(
    ("similarities", "words", "weights"),
    [
        (SIMILARITIES, None, BY_SIMILARITY),
        (None, WORDS, BY_WORDS),
        (SIMILARITIES, WORDS, BY_BOTH),
        (SIMILARITIES, [0.2, None, 1.0, 0.4], BY_SIMILARITY),
        ([0.1, 0.9, None, 0.5], WORDS, BY_WORDS),
    ],
)
def test_score_and_order_are_of_all_that_is_known_together(
    model: CrossEncoder,
    similarities: list[float | None] | None,
    words: list[float | None] | None,
    weights: dict[str, float],
) -> None:
    ranking = Reranker(model).rank(QUESTION, PASSAGES, similarities=similarities, word_matches=words)
    logits = model.logits([(QUESTION, text) for text in PASSAGES])[0]
    combined = weights["logit"] * logits + weights["constant"]
    combined += weights.get("similarity", 0) * np.array(SIMILARITIES)
    combined += weights.get("word_match", 0) * np.array(WORDS)
    assert [hit.first_stage_rank - 1 for hit in ranking] == np.argsort(-combined).tolist()
    for hit in ranking:
        place = hit.first_stage_rank - 1
        assert hit.logit == logits[place]
        assert hit.similarity == (SIMILARITIES[place] if "similarity" in weights else None)
        assert hit.word_match == (WORDS[place] if "word_match" in weights else None)
        assert hit.score == pytest.approx(1 / (1 + np.exp(-combined[place])), abs=1e-6)


def test_without_similarities_the_logit_alone_counts(model: CrossEncoder) -> None:
    ranking = Reranker(model).rank(QUESTION, PASSAGES)
    assert [hit.logit for hit in ranking] == sorted((hit.logit or 0 for hit in ranking), reverse=True)
    assert all(hit.similarity is None for hit in ranking)


def test_one_candidate_without_a_similarity_leaves_all_to_the_logit(model: CrossEncoder) -> None:
    reranker = Reranker(model)
    assert (
        reranker.rank(QUESTION, PASSAGES, similarities=[0.1, None, 0.3, 0.5]).hits
        == reranker.rank(QUESTION, PASSAGES).hits
    )


def test_a_model_without_an_interpolation_of_its_own_reads_no_similarity(tiny: CrossEncoder) -> None:
    reranker = Reranker(tiny)
    assert (
        reranker.rank(QUESTION, PASSAGES, similarities=SIMILARITIES).hits
        == reranker.rank(QUESTION, PASSAGES).hits
    )


def test_a_similarity_for_each_candidate_or_none_at_all(model: CrossEncoder) -> None:
    with pytest.raises(InputError, match="4 candidates and 1 similarities"):
        Reranker(model).rank(QUESTION, PASSAGES, similarities=[0.1])


@pytest.mark.parametrize(
    ("retrieval", "has_similarity"), [("hybrid", True), ("dense", True), ("lexical", False)]
)
@pytest.mark.parametrize("where", ["memory", "index"])
def test_searching_ranks_by_what_the_first_stages_know(
    model: CrossEncoder, retrieval: Any, has_similarity: bool, where: str, tmp_path: Path
) -> None:
    searched: Any = SENTENCES
    if where == "index":
        file = tmp_path / "passages.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in SENTENCES))
        searched = Index(tmp_path / "index")
        searched.add([file])
    question = "Where does the baker sell bread?"
    hits = Searcher(searched, model=Reranker(model), retrieval=retrieval).search(question, top_n=None)
    own = {hit.text: hit.word_match for hit in hits}
    best = BM25Index(SENTENCES).word_matches(question, range(len(SENTENCES)))
    assert max(best) == 1.0
    expected = dict(zip(SENTENCES, best, strict=True))
    assert own == pytest.approx({text: expected[text] for text in own})
    assert all((hit.similarity is not None) is has_similarity for hit in hits)
    weights = BY_BOTH if has_similarity else BY_WORDS
    for hit in hits:
        logit = weights["logit"] * (hit.logit or 0) + weights["constant"]
        logit += weights.get("similarity", 0) * (hit.similarity or 0)
        logit += weights["word_match"] * (hit.word_match or 0)
        assert hit.score == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)


def test_the_similarity_of_another_embedder_is_not_used(
    model: CrossEncoder, tiny_embedder: BiEncoder
) -> None:
    searcher = Searcher(PASSAGES, model=Reranker(model), embedder=tiny_embedder)
    assert all(hit.similarity is None for hit in searcher.search(QUESTION))


@pytest.mark.parametrize(
    "own",
    [
        "yes",
        {"embedder": "a"},
        {"embedder": "a", "weights": 3},
        {"embedder": "a", "weights": ["x"]},
        {"embedder": "a", "weights": [{"logit": 1, "constant": 0}]},
        {"embedder": "a", "weights": [{"logit": "x", "similarity": 1, "constant": 0}]},
        {"embedder": "a", "weights": [{"logit": float("nan"), "similarity": 1, "constant": 0}]},
        {"embedder": "a", "weights": [{"logit": 1, "similarity": float("inf"), "constant": 0}]},
        {"embedder": "a", "weights": [{"logit": 1, "word_match": 1, "constant": float("-inf")}]},
        {"embedder": "a", "weights": [{"logit": 1, "word_match": 1, "constant": 0, "doubt": float("nan")}]},
        {"embedder": "a", "logit": 1, "similarity": 1, "constant": 0},
    ],
)
def test_a_damaged_interpolation_is_named(own: object, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'interpolation' in crossrank\.json must have embedder"):
        model_with(tmp_path / "reranker", {"interpolation": own})


def test_weights_add_up_and_say_what_they_add() -> None:
    assert Weights(logit=2.0, similarity=3.0, constant=1.0).combine(-1.0, 0.5, 7.0) == 0.5
    assert Weights(logit=2.0, word_match=3.0, constant=1.0).combine(-1.0, 7.0, 0.5) == 0.5


@pytest.mark.parametrize("logit", [-800.0, -30.0, -2.0, 0.0, 0.5, 6.0, 800.0])
def test_a_doubted_logit_is_that_of_a_model_that_may_be_wrong(logit: float) -> None:
    weights = Weights(logit=1.0, similarity=0.0, constant=0.0, doubt=0.1)
    likely = 0.1 + 0.8 / (1 + np.exp(-np.clip(logit, -500, 500)))
    assert weights.combine(logit) == pytest.approx(np.log(likely / (1 - likely)), abs=1e-9)


def test_doubt_keeps_the_order_and_is_a_probability_below_a_half() -> None:
    weights = Weights(logit=1.0, similarity=0.0, constant=0.0, doubt=0.2)
    values = [weights.combine(logit) for logit in np.linspace(-15, 15, 301)]
    assert all(np.diff(values) > 0)
    with pytest.raises(ValueError, match="doubt"):
        Weights(logit=1.0, similarity=0.0, constant=0.0, doubt=0.5)
    assert Weights(1.0, 0.0, similarity=1.0, word_match=1.0).name == "with similarity and words"
