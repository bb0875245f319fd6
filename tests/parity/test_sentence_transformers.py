"""The encoders against sentence-transformers itself, on the same folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.tiny_models import FAMILIES, PAIRS, TEXTS, change_json, write_embedder, write_reranker

from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

NEAR = 1e-4
LONG = "the plan is to lower costs for families by year. " * 30


def their_reranker(folder: Path, **options: Any) -> Any:
    from sentence_transformers import CrossEncoder as Theirs

    return Theirs(str(folder), device="cpu", local_files_only=True, **options)


def their_embedder(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def assert_near(ours: object, theirs: object) -> None:
    numbers: NDArray[np.float32] = np.asarray(ours)
    assert numbers.shape == np.shape(theirs)
    assert np.abs(numbers - np.asarray(theirs)).max() < NEAR


@pytest.mark.parametrize("family", FAMILIES)
def test_predict_gives_their_scores(family: str, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", family)
    theirs = their_reranker(folder).predict([list(pair) for pair in PAIRS])
    assert_near(CrossEncoder(folder).predict(list(PAIRS)), theirs)


@pytest.mark.parametrize("place", ["saved by 6", "saved by 4", "saved by 3"])
@pytest.mark.parametrize("name", ["linear.Identity", "activation.Sigmoid", "activation.Tanh"])
def test_saved_activation_is_theirs(place: str, name: str, tmp_path: Path) -> None:
    folder, saved = write_reranker(tmp_path / "model"), f"torch.nn.modules.{name}"
    if place == "saved by 3":
        change_json(folder / "config.json", sbert_ce_default_activation_function=saved)
    elif place == "saved by 4":
        change_json(
            folder / "config.json", sentence_transformers={"activation_fn": saved, "version": "4.0.1"}
        )
    else:
        import torch

        function = getattr(torch.nn, name.rsplit(".", 1)[1])()
        their_reranker(folder, activation_fn=function).save_pretrained(str(tmp_path / "saved"))
        folder = tmp_path / "saved"
        assert (folder / "config_sentence_transformers.json").is_file()
    assert_near(CrossEncoder(folder).predict(list(PAIRS)), their_reranker(folder).predict(list(PAIRS)))


@pytest.mark.parametrize("name", ["Identity", "Sigmoid", "Tanh"])
def test_activation_given_as_an_object_is_theirs(name: str, tmp_path: Path) -> None:
    import torch

    folder, function = write_reranker(tmp_path / "model"), getattr(torch.nn, name)()
    ours = CrossEncoder(folder).predict(list(PAIRS), activation_fn=function)
    assert_near(ours, their_reranker(folder).predict(list(PAIRS), activation_fn=function))


@pytest.mark.parametrize("max_length", [16, 17, 33, None])
@pytest.mark.parametrize(
    ("query", "passage"), [("who bakes bread", LONG), (LONG, "by their dance"), (LONG, LONG), (LONG, "")]
)
def test_long_pairs_are_cut_as_theirs(
    query: str, passage: str, max_length: int | None, tmp_path: Path
) -> None:
    folder = write_reranker(tmp_path / "model")
    ours = CrossEncoder(folder, max_length=max_length).predict([(query, passage)])
    theirs = their_reranker(folder, max_length=max_length or 64).predict([(query, passage)])
    assert_near(ours, theirs)


@pytest.mark.parametrize("top_k", [None, 0, 1, 5])
@pytest.mark.parametrize("return_documents", [False, True])
def test_rank_gives_their_result(top_k: int | None, return_documents: bool, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    ours = CrossEncoder(folder).rank("who bakes bread", TEXTS, top_k, return_documents)
    theirs = their_reranker(folder).rank("who bakes bread", list(TEXTS), top_k, return_documents)
    assert [hit | {"score": 0} for hit in ours] == [hit | {"score": 0} for hit in theirs]
    assert [hit["score"] for hit in ours] == pytest.approx([hit["score"] for hit in theirs], abs=NEAR)


def test_single_pair_and_no_pairs_have_their_shapes(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    ours, theirs = CrossEncoder(folder), their_reranker(folder)
    assert_near(ours.predict(list(PAIRS[0])), theirs.predict(list(PAIRS[0])))
    assert np.shape(ours.predict([])) == np.shape(theirs.predict([]))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("normalize", [True, False])
def test_vectors_are_theirs(family: str, normalize: bool, tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", family, normalize=normalize)
    assert_near(BiEncoder(folder).encode_documents(TEXTS), their_embedder(folder).encode(list(TEXTS)))


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "mean_sqrt_len"])
@pytest.mark.parametrize("dense", ["linear.Identity", "activation.Tanh", "activation.GELU", None])
def test_poolings_and_dense_layers_are_theirs(pooling: str, dense: str | None, tmp_path: Path) -> None:
    function = dense and f"torch.nn.modules.{dense}"
    folder = write_embedder(tmp_path / "model", pooling=pooling, dense=function, normalize=False)
    assert_near(BiEncoder(folder).encode_documents(TEXTS), their_embedder(folder).encode(list(TEXTS)))


def test_dense_layer_that_names_no_activation_is_theirs(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", dense="torch.nn.modules.activation.Tanh")
    change_json(folder / "2_Dense" / "config.json", activation_function=None)
    assert_near(BiEncoder(folder).encode_documents(TEXTS), their_embedder(folder).encode(list(TEXTS)))


@pytest.mark.parametrize(
    "prompts",
    [
        {"query": "question what: ", "document": "passage: "},
        {"query": "question what: "},
        {"document": "passage: "},
        {},
    ],
)
def test_prompts_are_theirs(prompts: dict[str, str], tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", settings={"prompts": prompts})
    ours, theirs = BiEncoder(folder), their_embedder(folder)
    assert_near(ours.encode_queries(TEXTS), theirs.encode_query(list(TEXTS)))
    assert_near(ours.encode_documents(TEXTS), theirs.encode_document(list(TEXTS)))


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean"])
def test_similarity_is_theirs(name: str, tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", normalize=False, settings={"similarity_fn_name": name})
    theirs = their_embedder(folder)
    assert BiEncoder(folder).similarity == theirs.similarity_fn_name == name


@pytest.mark.parametrize(("saved", "tokenizer"), [(20, 64), (40, 20), (64, 10)])
def test_saved_length_is_theirs(saved: int, tokenizer: int, tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model")
    change_json(folder / "sentence_bert_config.json", max_seq_length=saved)
    change_json(folder / "tokenizer_config.json", model_max_length=tokenizer)
    assert_near(BiEncoder(folder).encode_documents([LONG]), their_embedder(folder).encode([LONG]))


def test_lower_case_is_theirs(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", "roberta")
    change_json(folder / "sentence_bert_config.json", do_lower_case=True)
    texts = ["Who BAKES Bread", "who bakes bread"]
    assert_near(BiEncoder(folder).encode_documents(texts), their_embedder(folder).encode(texts))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_embedder_that_they_saved_anew_gives_their_vectors(pooling: str, tmp_path: Path) -> None:
    folder = write_embedder(
        tmp_path / "model",
        "mpnet",
        pooling=pooling,
        dense="torch.nn.modules.activation.Tanh",
        settings={"prompts": {"query": "question: ", "document": ""}, "similarity_fn_name": "dot"},
    )
    theirs = their_embedder(folder)
    theirs.save_pretrained(str(tmp_path / "saved"))
    ours = BiEncoder(tmp_path / "saved")
    assert ours.similarity == "dot"
    assert_near(ours.encode_queries(TEXTS), theirs.encode_query(list(TEXTS)))
