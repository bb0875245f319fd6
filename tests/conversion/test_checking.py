from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tiny_models import change_json, write_embedder, write_json, write_modular, write_reranker

import crossrank.conversion
from crossrank.conversion import checking
from crossrank.conversion.checking import check_model
from crossrank.families.model import open_model
from crossrank.inference.chains import is_bi_encoder
from crossrank.inference.cross_encoder import CrossEncoder

PUBLISHED = json.loads((Path(crossrank.conversion.__file__).with_name("golden.json")).read_text())


def test_kind_of_a_model_is_told_from_its_files(tmp_path: Path) -> None:
    reranker, embedder = write_reranker(tmp_path / "reranker"), write_embedder(tmp_path / "embedder")
    # As Qwen3-Embedding has it: modules count, and not the architecture that the weights once had.
    decoder, language_model = write_embedder(tmp_path / "decoder"), write_reranker(tmp_path / "language")
    modular = write_modular(tmp_path / "modular")
    for folder in (decoder, language_model):
        change_json(folder / "config.json", architectures=["Qwen3ForCausalLM"])
    folders = (reranker, embedder, decoder, language_model, modular)
    assert [is_bi_encoder(open_model(folder)) for folder in folders] == [False, True, True, False, False]


def test_model_that_scores_otherwise_than_published_does_not_agree(tmp_path: Path) -> None:
    report = check_model(write_reranker(tmp_path / "ms-marco-MiniLM-L6-v2"))
    assert report["agrees"] is False
    assert report["golden"]["largest_difference"] > report["golden"]["tolerance"]


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_scores_are_compared_after_the_activation_where_these_are_published(
    shift: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_reranker(tmp_path / "model")
    pairs = [["who bakes bread", "the baker"], ["who bakes bread", "the sea"]]
    scores = CrossEncoder(folder).predict([(query, text) for query, text in pairs])
    published = {"source": "here", "tolerance": 0.03, "pairs": pairs, "scores": [x + shift for x in scores]}
    file = tmp_path / "golden.json"
    write_json(file, {"model": json.loads(json.dumps(published, default=float))})
    monkeypatch.setattr(checking, "_GOLDEN", file)
    report = check_model(folder)
    assert report["agrees"] is (shift == 0)
    assert report["golden"]["compared"] == "scores"
    assert all(0 < pair["score"] < 1 for pair in report["golden"]["pairs"])


def test_model_without_published_scores_is_described_alone(tmp_path: Path) -> None:
    report = check_model(write_reranker(tmp_path / "model"))
    assert (report["kind"], report["weights"], report["golden"]) == (
        "cross-encoder",
        "safetensors, float",
        None,
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_pair_has_its_number_and_a_source(name: str) -> None:
    published = PUBLISHED[name]
    assert name == name.lower()
    assert ("logits" in published) != ("scores" in published)
    assert len(published["pairs"]) == len(published.get("logits") or published["scores"]) > 0
    assert published["source"]
    assert 0 < published["tolerance"] < 1
