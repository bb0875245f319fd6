from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_models import TEXTS, write_reranker

from crossrank import Candidate, Document, Index, Reranker, Searcher
from crossrank.errors import InputError, ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights
from crossrank.retrieval.bm25 import BM25Index, word_matches

QUESTION = "who bakes bread"
PASSAGES = list(TEXTS[:4])
EMBEDDER = "0123abcd"
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


def model_for(folder: Path, fingerprint: str) -> CrossEncoder:
    weights = [BY_SIMILARITY, BY_WORDS, BY_BOTH]
    own = {"embedder": "an embedder", "fingerprint": fingerprint, "weights": weights}
    return model_with(folder, {"interpolation": own})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    return model_for(tmp_path_factory.mktemp("model") / "reranker", EMBEDDER)


def candidates(
    similarities: list[float | None] | None = None,
    words: list[float | None] | None = None,
    embedder: str = EMBEDDER,
) -> list[Candidate]:
    found = []
    for place, text in enumerate(PASSAGES):
        known = {
            "similarity": similarities[place] if similarities else None,
            "word_match": words[place] if words else None,
        }
        evidence = {name: value for name, value in known.items() if value is not None}
        found.append(Candidate(Document(str(place), text), place + 1, evidence=evidence, embedder=embedder))
    return found


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
    ranking = Reranker(model).rank(QUESTION, candidates(similarities, words))
    logits = model.logits([(QUESTION, text) for text in PASSAGES])[0]
    known = {"similarity": np.array(SIMILARITIES), "word_match": np.array(WORDS), "constant": np.ones(4)}
    added = {name: weight * known.get(name, logits) for name, weight in weights.items()}
    combined = sum(added.values())
    assert [hit.candidate.rank - 1 for hit in ranking] == np.argsort(-combined).tolist()
    for hit in ranking:
        place = hit.candidate.rank - 1
        assert hit.logit == logits[place]
        assert dict(hit.contributions) == pytest.approx({name: v[place] for name, v in added.items()})
        assert hit.score == pytest.approx(1 / (1 + np.exp(-combined[place])), abs=1e-6)


def test_hits_are_sorted_by_the_sum_of_what_they_show(model: CrossEncoder) -> None:
    ranking = Reranker(model).rank(QUESTION, candidates(SIMILARITIES, WORDS))
    sums = [sum(hit.contributions.values()) for hit in ranking]
    assert sums == sorted(sums, reverse=True) == [hit.combined_logit for hit in ranking]
    scores = model.scoring.scores(np.array(sums, np.float32)).tolist()
    assert scores == [hit.score for hit in ranking]
    assert ranking.activation == "sigmoid"


def test_without_evidence_the_logit_alone_counts(model: CrossEncoder) -> None:
    ranking = Reranker(model).rank(QUESTION, PASSAGES)
    assert [hit.logit for hit in ranking] == sorted((hit.logit or 0 for hit in ranking), reverse=True)
    assert all(hit.contributions == {"logit": hit.logit} for hit in ranking)


def numbers(ranking: Any) -> list[tuple[str, float, float]]:
    return [(hit.text, hit.score, hit.logit) for hit in ranking]


def test_one_candidate_without_evidence_leaves_all_to_the_logit(model: CrossEncoder) -> None:
    reranker = Reranker(model)
    missing = candidates([0.1, None, 0.3, 0.5])
    assert numbers(reranker.rank(QUESTION, missing)) == numbers(reranker.rank(QUESTION, PASSAGES))
    mixed = [*candidates(SIMILARITIES, WORDS)[:3], PASSAGES[3]]
    assert numbers(reranker.rank(QUESTION, mixed)) == numbers(reranker.rank(QUESTION, PASSAGES))


def test_a_model_without_an_interpolation_of_its_own_counts_no_evidence(tiny: CrossEncoder) -> None:
    reranker = Reranker(tiny)
    ranking = reranker.rank(QUESTION, candidates(SIMILARITIES, WORDS), on_truncation="ignore")
    assert numbers(ranking) == numbers(reranker.rank(QUESTION, PASSAGES))
    assert ranking.notices == ()


def test_the_similarity_of_another_embedder_is_not_counted_and_a_notice_says_so_once(
    model: CrossEncoder,
) -> None:
    reranker = Reranker(model)
    ranking = reranker.rank(
        QUESTION, candidates(SIMILARITIES, WORDS, embedder="another"), on_truncation="ignore"
    )
    assert numbers(ranking) == numbers(reranker.rank(QUESTION, candidates(None, WORDS)))
    (notice,) = ranking.notices
    assert "similarities are not counted" in notice
    assert "the embedder an embedder, and these are of another one" in notice
    own = candidates(SIMILARITIES, WORDS)
    own[2] = candidates(SIMILARITIES, WORDS, embedder="another")[2]
    assert reranker.rank(QUESTION, own, on_truncation="ignore").notices == ranking.notices
    words_alone = candidates(None, WORDS, embedder="another")
    assert reranker.rank(QUESTION, words_alone, on_truncation="ignore").notices == ()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_evidence_that_is_no_number_is_refused(model: CrossEncoder, bad: float) -> None:
    with pytest.raises(InputError, match="evidence for '2' holds what is not a finite number"):
        Reranker(model).rank(QUESTION, candidates([0.1, 0.9, bad, 0.5]))


@pytest.mark.parametrize(
    ("retrieval", "has_similarity"), [("hybrid", True), ("dense", True), ("lexical", False)]
)
@pytest.mark.parametrize("where", ["memory", "index"])
def test_searching_ranks_by_what_the_first_stages_know(
    retrieval: Any, has_similarity: bool, where: str, tmp_path: Path, tiny_embedder: BiEncoder
) -> None:
    reranker = Reranker(model_for(tmp_path / "reranker", tiny_embedder.fingerprint))
    if where == "index":
        file = tmp_path / "passages.jsonl"
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in SENTENCES))
        index = Index(tmp_path / "index", embedder=tiny_embedder)
        index.add([file])
        searcher = Searcher(index.retriever(retrieval=retrieval), model=reranker)
    else:
        searcher = Searcher(SENTENCES, model=reranker, retrieval=retrieval, embedder=tiny_embedder)
    question = "Where does the baker sell bread?"
    hits = searcher.search(question, top_n=None)
    matches = word_matches(BM25Index(SENTENCES).scores(question, range(len(SENTENCES))))
    expected = {text: matches.get(place, 0.0) for place, text in enumerate(SENTENCES)}
    found = {hit.text: hit.candidate.evidence["word_match"] for hit in hits}
    assert found == pytest.approx({text: expected[text] for text in found})
    weights = BY_BOTH if has_similarity else BY_WORDS
    for hit in hits:
        known = {"logit": hit.logit, "constant": 1.0, **hit.candidate.evidence}
        added = {name: weight * known[name] for name, weight in weights.items()}
        assert dict(hit.contributions) == pytest.approx(added)
        assert hit.score == pytest.approx(1 / (1 + np.exp(-sum(added.values()))), abs=1e-6)


def test_the_embedder_that_a_model_is_for_is_known_by_its_fingerprint_under_any_name(
    tmp_path: Path, tiny_embedder: BiEncoder
) -> None:
    reranker = Reranker(model_for(tmp_path / "reranker", tiny_embedder.fingerprint))
    own = Searcher(SENTENCES, model=reranker, embedder=tiny_embedder).search(QUESTION)
    assert all("similarity" in hit.contributions for hit in own)
    assert own.notices == ()
    other = Searcher(SENTENCES, model=reranker).search(QUESTION)
    assert not any("similarity" in hit.contributions for hit in other)
    assert all("word_match" in hit.contributions for hit in other)
    assert len(other.notices) == 1


def test_the_bundled_models_belong_together(bundled: CrossEncoder) -> None:
    assert bundled.interpolation is not None
    assert bundled.interpolation.fingerprint == BiEncoder().fingerprint


@pytest.mark.parametrize(
    "own",
    [
        "yes",
        {"embedder": "a", "fingerprint": "b"},
        {"embedder": "a", "weights": [BY_WORDS]},
        {"embedder": "a", "fingerprint": "b", "weights": 3},
        {"embedder": "a", "fingerprint": "b", "weights": ["x"]},
        {"embedder": "a", "fingerprint": "b", "weights": [{"logit": 1, "constant": 0}]},
        {"embedder": "a", "fingerprint": "b", "weights": [BY_WORDS | {"logit": "x"}]},
        {"embedder": "a", "fingerprint": "b", "weights": [BY_WORDS | {"word_match": float("nan")}]},
        {"embedder": "a", "fingerprint": "b", "weights": [BY_WORDS | {"constant": float("inf")}]},
        {"embedder": "a", "fingerprint": "b", "weights": [BY_WORDS | {"doubt": float("nan")}]},
        {"embedder": "a", "fingerprint": "b", "logit": 1, "similarity": 1, "constant": 0},
        {"embedder": "a", "fingerprint": "b", "weights": [BY_WORDS], "scale": 1.0},
        {"embedder": "a", "fingerprint": "b", "weights": [BY_WORDS], "scale": {"mean": 0, "deviation": 0}},
    ],
)
def test_a_damaged_interpolation_is_named(own: object, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'interpolation' in crossrank\.json must have embedder"):
        model_with(tmp_path / "reranker", {"interpolation": own})


def test_weights_add_up_and_say_what_they_add() -> None:
    known = {"similarity": 0.5, "word_match": 7.0}
    assert EvidenceWeights(2.0, 1.0, similarity=3.0).combine(-1.0, known) == 0.5
    assert EvidenceWeights(2.0, 1.0, word_match=3.0).combine(-1.0, known) == 20.0


@pytest.mark.parametrize("logit", [-800.0, -30.0, -2.0, 0.0, 0.5, 6.0, 800.0])
def test_a_doubted_logit_is_that_of_a_model_that_may_be_wrong(logit: float) -> None:
    weights = EvidenceWeights(logit=1.0, constant=0.0, doubt=0.1)
    likely = 0.1 + 0.8 / (1 + np.exp(-np.clip(logit, -500, 500)))
    assert weights.combine(logit, {}) == pytest.approx(np.log(likely / (1 - likely)), abs=1e-9)


def test_doubt_keeps_the_order_and_is_a_probability_below_a_half() -> None:
    weights = EvidenceWeights(logit=1.0, constant=0.0, doubt=0.2)
    values = [weights.combine(logit, {}) for logit in np.linspace(-15, 15, 301)]
    assert all(np.diff(values) > 0)
    with pytest.raises(ValueError, match="doubt"):
        EvidenceWeights(logit=1.0, constant=0.0, doubt=0.5)
    assert EvidenceWeights(1.0, 0.0, similarity=1.0, word_match=1.0).name == "with similarity and words"
