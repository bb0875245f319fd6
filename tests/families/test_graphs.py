"""Every family against golden.json, which transformers wrote (tests/golden/make_golden.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.modern_models import MODERN, write_modern_embedder, write_modern_reranker
from support.tiny_models import FAMILIES, PAIRS, TEXTS, change_json, save, write_embedder, write_reranker

from crossrank.errors import ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "golden.json").read_text())
# Float32 itself leaves about 5e-6 on these models.
NEAR = 2e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_reranker_gives_the_logits_that_transformers_gives(family: str, tmp_path: Path) -> None:
    model = CrossEncoder(write_reranker(tmp_path / family, family))
    assert np.abs(model.logits(list(PAIRS))[0] - GOLDEN[family]["logits"]).max() < NEAR


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embedder_gives_the_vectors_that_transformers_gives(
    family: str, pooling: str, tmp_path: Path
) -> None:
    written = write_embedder(tmp_path / family, family, pooling=pooling, normalize=False)
    assert (
        np.abs(BiEncoder(written).encode_documents(TEXTS) - GOLDEN[family]["vectors"][pooling]).max() < NEAR
    )


@pytest.mark.parametrize("family", MODERN)
def test_modern_reranker_gives_the_logits_of_its_reference(family: str, tmp_path: Path) -> None:
    model = CrossEncoder(write_modern_reranker(tmp_path / family, family))
    assert np.abs(model.logits(list(PAIRS))[0] - GOLDEN[family]["logits"]).max() < NEAR


@pytest.mark.parametrize("family", MODERN)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_modern_embedder_gives_the_vectors_of_its_reference(
    family: str, pooling: str, tmp_path: Path
) -> None:
    written = write_modern_embedder(tmp_path / family, family, pooling=pooling)
    vectors = BiEncoder(written).encode_documents(TEXTS)
    assert np.abs(vectors - GOLDEN[family]["vectors"][pooling]).max() < NEAR


def test_padding_id_that_the_configuration_leaves_out_is_the_familys(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", "roberta")
    change_json(folder / "config.json", pad_token_id=None)
    model = CrossEncoder(folder)
    assert model.tokenizer.max_tokens == FAMILIES["roberta"].longest
    assert np.abs(model.logits(list(PAIRS))[0] - GOLDEN["roberta"]["logits"]).max() < NEAR


def test_weights_without_the_familys_prefix_are_found(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    bare = {name.removeprefix("bert."): v for name, v in load_file(folder / "model.safetensors").items()}
    save(folder, bare)
    assert np.abs(CrossEncoder(folder).logits(list(PAIRS))[0] - GOLDEN["bert"]["logits"]).max() < NEAR


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("deberta-v2", {"conv_kernel_size": 3}, "a convolution after its first layer"),
        ("deberta-v2", {"pos_att_type": ["p2p"]}, "pos_att_type .*known are c2p and p2c"),
        ("deberta-v2", {"position_buckets": 64}, "asks for 128 relative positions; there are 32"),
        ("deberta-v2", {"position_buckets": 8}, "asks for 16 relative positions; there are 32"),
        ("deberta-v2", {"attention_head_size": 4}, "does not make 4 heads"),
        ("gte", {"rope_parameters": {"rope_type": "yarn"}}, "rotary positions of the type 'yarn'"),
        ("new", {"logn_attention_scale": True}, "logn_attention_scale in config.json is not supported"),
        ("new", {"layer_norm_type": "rms_norm"}, "layer_norm_type 'rms_norm'"),
        ("new", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "of the type 'linear'"),
        ("jina-bert", {"feed_forward_type": "glu"}, "feed_forward_type 'glu'"),
        ("jina-bert", {"position_embedding_type": "absolute"}, "absolute position embeddings"),
        ("modernbert", {"classifier_pooling": "max"}, "known are cls and mean"),
        ("modernbert", {"global_attn_every_n_layers": 0}, "global_attn_every_n_layers"),
        ("modernbert", {"layer_types": ["full_attention"]}, "layer_types .* for 4 layers"),
        ("modernbert", {"rope_scaling": {"type": "yarn"}}, "scaled rotary positions"),
        ("modernbert", {"norm_bias": True}, r"no tensor 'model\.embeddings\.norm\.bias'"),
        ("modernbert", {"num_attention_heads": 5}, "5 heads of an even size"),
        ("modernbert", {"num_hidden_layers": 5}, r"no tensor .*layers\.4"),
        ("nomic_bert-own", {"prenorm": True}, "prenorm in config.json is True"),
        ("nomic_bert-own", {"rotary_scaling_factor": 2.0}, r"rotary_scaling_factor in config.json is 2\.0"),
        ("nomic_bert-own", {"activation_function": "gelu"}, "known: swiglu, geglu"),
        ("nomic_bert", {"rope_parameters": {"rope_type": "dynamic"}}, "of the type 'dynamic'"),
    ],
)
def test_modern_configuration_that_the_graph_cannot_follow_is_refused(
    family: str, changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = write_modern_reranker(tmp_path / "model", family)
    change_json(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(folder)


@pytest.mark.parametrize("family", ["jina-bert", "new", "nomic_bert-own"])
def test_code_of_a_repository_s_own_is_not_run_and_other_code_is_refused(family: str, tmp_path: Path) -> None:
    folder = write_modern_reranker(tmp_path / "model", family)
    (folder / "modeling.py").write_text("raise SystemExit('this code was run')")
    assert CrossEncoder(folder).predict(list(PAIRS)).shape == (len(PAIRS),)  # type: ignore[union-attr]
    other = {"AutoModel": "modeling.OtherModel", "AutoModelForSequenceClassification": "modeling.Other"}
    change_json(folder / "config.json", auto_map=other)
    with pytest.raises(ModelError, match="Python code of its own, which crossrank never runs"):
        CrossEncoder(folder)


def test_network_that_only_its_repository_s_own_code_has_is_not_for_a_gpu(tmp_path: Path) -> None:
    folder = write_modern_reranker(tmp_path / "model", "jina-bert")
    with pytest.raises(ModelError, match=r"runs on the processor alone: .*Leave cuda out"):
        CrossEncoder(folder, device="cuda")


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", *MODERN])
def test_configuration_that_contradicts_the_weights_is_refused(family: str, tmp_path: Path) -> None:
    write = write_modern_reranker if family in MODERN else write_reranker
    config = json.loads((write(tmp_path / "model", family) / "config.json").read_text())

    def refused(changes: dict[str, object]) -> str:
        folder = write(tmp_path / "changed", family)
        change_json(folder / "config.json", **changes)
        with pytest.raises(ModelError, match="do not belong together") as caught:
            CrossEncoder(folder)
        return str(caught.value)

    layers = (
        "n_layers" if family == "distilbert" else "n_layer" if "n_layer" in config else "num_hidden_layers"
    )
    assert "config.json speaks of 1 layers, and the weights have" in refused({layers: 1, "layer_types": None})
    words = config["vocab_size"] + 7
    assert f"should be {words}x" in refused({"vocab_size": words})
    if family in {"bert", "distilbert", "roberta", "deberta-v2-old"}:
        assert "position_embeddings.weight should be 4096x" in refused({"max_position_embeddings": 4096})
    if config.get("type_vocab_size"):
        assert "token_type_embeddings.weight should be 5x" in refused({"type_vocab_size": 5})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "squareplus"}, "squareplus"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"num_attention_heads": 5}, "no multiple"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers"),
        ({"hidden_size": 64}, r"word_embeddings\.weight should be \d+x64 and is \d+x32"),
        ({"num_hidden_layers": 3}, "no tensor 'bert.encoder.layer.2|no tensor 'encoder.layer.2"),
        ({"vocab_size": 100}, "do not belong together"),
    ],
)
def test_configuration_that_the_graph_cannot_follow_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = write_reranker(tmp_path / "model")
    change_json(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        CrossEncoder(folder)
