from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny_models import TEXTS, write_reranker

from crossrank import Reranker, Searcher
from crossrank.errors import InputError, ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.scores import Interpolation

QUESTION = "who bakes bread"
PASSAGES = list(TEXTS[:4])
SIMILARITIES = [0.1, 0.9, 0.3, 0.5]


def model_with(folder: Path, settings: object) -> CrossEncoder:
    write_reranker(folder)
    (folder / "crossrank.json").write_text(json.dumps(settings))
    return CrossEncoder(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    own = {"embedder": "all-MiniLM-L6-v2", "logit": 0.5, "similarity": 40.0, "constant": -20.0}
    return model_with(tmp_path_factory.mktemp("model") / "reranker", {"interpolation": own})


def test_score_and_order_are_of_logit_and_similarity_together(model: CrossEncoder) -> None:
    ranking = Reranker(model).rank(QUESTION, PASSAGES, similarities=SIMILARITIES)
    logits = model.logits([(QUESTION, text) for text in PASSAGES])[0]
    combined = 0.5 * logits + 40 * np.array(SIMILARITIES) - 20
    assert [hit.first_stage_rank - 1 for hit in ranking] == np.argsort(-combined).tolist()
    for hit in ranking:
        place = hit.first_stage_rank - 1
        assert hit.logit == logits[place]
        assert hit.similarity == SIMILARITIES[place]
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
    ("retrieval", "interpolates"), [("hybrid", True), ("dense", True), ("lexical", False)]
)
def test_searching_by_vectors_uses_them_in_the_ranking(
    model: CrossEncoder, retrieval: str, interpolates: bool
) -> None:
    searcher = Searcher(PASSAGES, model=Reranker(model), retrieval=retrieval)  # type: ignore[arg-type]
    hits = searcher.search(QUESTION)
    assert len(hits) > 0
    assert all((hit.similarity is not None) is interpolates for hit in hits)


def test_the_similarity_of_another_embedder_is_not_used(
    model: CrossEncoder, tiny_embedder: BiEncoder
) -> None:
    searcher = Searcher(PASSAGES, model=Reranker(model), embedder=tiny_embedder)
    assert all(hit.similarity is None for hit in searcher.search(QUESTION))


@pytest.mark.parametrize(
    "own", ["yes", {"embedder": "a"}, {"embedder": "a", "logit": "x", "similarity": 1, "constant": 0}]
)
def test_a_damaged_interpolation_is_named(own: object, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'interpolation' in crossrank\.json must have embedder"):
        model_with(tmp_path / "reranker", {"interpolation": own})


def test_weights_add_up() -> None:
    assert Interpolation("e", logit=2.0, similarity=3.0, constant=1.0).combine(-1.0, 0.5) == 0.5
