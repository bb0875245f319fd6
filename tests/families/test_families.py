"""An architecture is one file: tests/families/scroll.py, of which nothing in crossrank knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from families.scroll import FAMILY, LAYER
from safetensors.numpy import load_file
from support.tiny_models import PAIRS, TEXTS, change_json, save, write_embedder, write_reranker

import crossrank.families
from crossrank import Reranker
from crossrank.conversion.quantise import write_int8
from crossrank.errors import ModelError
from crossrank.families import Family, family_of, names_with_graph, register
from crossrank.families.bert import BERT_LAYER
from crossrank.families.model import open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "places",
    "embeddings.token_type_embeddings": "sides",
    "embeddings.LayerNorm": "norm0",
    "pooler.dense": "score.dense",
    "classifier": "score.out",
    **{
        old.format(layer): new.format(layer)
        for layer in range(2)
        for old, new in zip(vars(BERT_LAYER).values(), vars(LAYER).values(), strict=True)
    },
}


@pytest.fixture(autouse=True)
def scroll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossrank.families, "_registered", {})
    register(FAMILY)


def renamed(folder: Path) -> Path:
    """A folder of BERT's as one of the new architecture, with the same weights."""
    tensors = {}
    for name, values in load_file(folder / "model.safetensors").items():
        layer, _, part = name.removeprefix("bert.").rpartition(".")
        new = f"{NAMES[layer]}.{part}"
        tensors[new if new.startswith("score.") else f"scroll.{new}"] = values
    save(folder, tensors)
    change_json(folder / "config.json", model_type="scroll")
    return folder


def test_architecture_in_a_file_of_its_own_ranks(tmp_path: Path) -> None:
    bert = CrossEncoder(write_reranker(tmp_path / "bert"))
    folder = renamed(write_reranker(tmp_path / "scroll"))
    np.testing.assert_array_equal(CrossEncoder(folder).logits(list(PAIRS))[0], bert.logits(list(PAIRS))[0])
    ranking = Reranker(folder).rank("who bakes bread", list(TEXTS))
    expected = bert.logits([("who bakes bread", text) for text in TEXTS])[0]
    assert [hit.logit for hit in ranking] == sorted(expected.tolist(), reverse=True)


def test_architecture_in_a_file_of_its_own_embeds(tmp_path: Path) -> None:
    bert = BiEncoder(write_embedder(tmp_path / "bert"))
    scroll = BiEncoder(renamed(write_embedder(tmp_path / "scroll")))
    np.testing.assert_array_equal(scroll.encode_documents(TEXTS), bert.encode_documents(TEXTS))


def test_int8_copy_keeps_in_float_what_the_architecture_says(tmp_path: Path) -> None:
    write_int8(open_model(renamed(write_reranker(tmp_path / "scroll"))), tmp_path / "int8")
    tensors = load_file(tmp_path / "int8" / "model.safetensors")
    floats = {name for name, values in tensors.items() if values.ndim == 2 and values.dtype == np.float16}
    assert floats == {"score.dense.weight", "score.out.weight", "scroll.places.weight", "scroll.sides.weight"}
    assert tensors["scroll.words.weight"].dtype == tensors["scroll.blocks.1.up.weight"].dtype == np.int8


def test_folder_without_the_architecture_s_head_is_refused(tmp_path: Path) -> None:
    folder = renamed(write_reranker(tmp_path / "scroll"))
    tensors = load_file(folder / "model.safetensors")
    save(folder, {name: values for name, values in tensors.items() if not name.startswith("score.")})
    with pytest.raises(ModelError, match="no classification head"):
        CrossEncoder(folder)


def test_architecture_is_named_among_those_that_run() -> None:
    assert "scroll" in names_with_graph()
    assert family_of("scroll") is FAMILY


def test_every_file_with_an_architecture_is_found_without_a_list() -> None:
    assert set(names_with_graph()) == {
        *("bert", "camembert", "deberta-v2", "distilbert", "electra", "gte", "jina-bert", "modernbert"),
        *("mpnet", "new", "nomic_bert", "roberta", "xlm-roberta", "scroll"),
    }
    assert family_of("modernbert").packed is not None
    assert family_of("qwen3").packs_language_model


def test_architecture_that_nobody_described_is_left_to_transformers() -> None:
    unknown = family_of("unheard-of")
    assert unknown == Family(names=("unheard-of",))
    assert (unknown.graph, unknown.packed) == (None, None)
