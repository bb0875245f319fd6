"""Models of modules, made and saved by sentence-transformers itself, against what it computes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.tiny_models import FAMILIES, PAIRS, TEXTS, change_json, write_embedder, write_static
from support.torch_models import (
    CHAT_TEMPLATE,
    MODERNBERT,
    write_body,
    write_decoder_body,
    write_language_model,
)

from crossrank.families.model import open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.chains import scoring_chain
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.embedder_settings import read_settings
from crossrank.inference.loading import load_torch_engine
from crossrank.inference.task import Classification, Embedding
from crossrank.models.modules import ACTIVATIONS

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]

NEAR = 1e-4
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
LISTS = [list(pair) for pair in PAIRS]


def assert_near(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    assert ours.shape == theirs.shape
    assert np.std(theirs) > 0.001
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=NEAR)


def saved(folder: Path, modules: list[Any], **options: Any) -> Any:
    """A cross-encoder of these modules with random weights, saved to the folder."""
    import torch
    from sentence_transformers import CrossEncoder as Theirs

    torch.manual_seed(11)
    with torch.no_grad():
        for module in modules[1:]:
            for values in module.parameters():
                values.normal_(0, 0.3)
    model = Theirs(modules=modules, device="cpu", **options)
    model.save_pretrained(str(folder))
    return model


def ettin(body: Path) -> list[Any]:
    """The modules of cross-encoder/ettin-reranker-17m-v1 and its larger ones."""
    from sentence_transformers.cross_encoder.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
    from torch import nn

    first = Transformer(str(body), transformer_task="feature-extraction")
    width = first.get_embedding_dimension()
    return [
        first,
        Pooling(width, pooling_mode="cls"),
        Dense(width, width, bias=False, activation_function=nn.GELU()),
        LayerNorm(width),
        Dense(width, 1, activation_function=None, module_output_name="scores"),
    ]


def scores_in_pytorch(folder: Path, pairs: list[tuple[str, str]]) -> NDArray[np.float32]:
    """The logits of the PyTorch engine, also for what OpenVINO runs."""
    model, tokenizer = open_model(folder), CrossEncoder(folder).tokenizer
    task = Classification(scoring_chain(model))
    loaded = load_torch_engine(model, task, tokenizer, device="cpu", threads=2)
    return loaded.engine.run(tokenizer.pairs(pairs))


@pytest.mark.parametrize("family", FAMILIES)
def test_ettin_layout_scores_alike_in_every_family(family: str, tmp_path: Path) -> None:
    from torch import nn

    body = write_embedder(tmp_path / "body", family)
    theirs = saved(tmp_path / "saved", ettin(body), activation_fn=nn.Identity())
    expected = theirs.predict(LISTS)
    assert_near(CrossEncoder(tmp_path / "saved").predict(list(PAIRS)), expected)
    assert_near(scores_in_pytorch(tmp_path / "saved", list(PAIRS))[:, 0], expected)


def test_ettin_itself_scores_alike(tmp_path: Path) -> None:
    theirs = saved(tmp_path / "saved", ettin(write_body(tmp_path / "body", "modernbert", MODERNBERT)))
    model = CrossEncoder(tmp_path / "saved")
    assert_near(model.predict(list(PAIRS)), theirs.predict(LISTS))
    assert_near(scores_in_pytorch(tmp_path / "saved", list(PAIRS))[:, 0], model.logits(list(PAIRS))[0])


@pytest.mark.parametrize("mode", [*POOLINGS, ("cls", "max"), ("weightedmean", "lasttoken", "mean")])
def test_every_pooling_is_theirs(mode: Any, tmp_path: Path) -> None:
    from sentence_transformers.cross_encoder.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    first = Transformer(str(write_embedder(tmp_path / "body")))
    pooling = Pooling(first.get_embedding_dimension(), pooling_mode=mode)
    width = pooling.get_embedding_dimension()
    modules = [first, pooling, Dense(width, 1, activation_function=None, module_output_name="scores")]
    expected = saved(tmp_path / "saved", modules).predict(LISTS)
    assert_near(CrossEncoder(tmp_path / "saved").predict(list(PAIRS)), expected)
    model = open_model(tmp_path / "saved")
    logits = scores_in_pytorch(model.path, list(PAIRS))[:, 0]
    assert_near(1 / (1 + np.exp(-logits)), expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_a_dense_layer_is_theirs(activation: str, tmp_path: Path) -> None:
    import torch
    from sentence_transformers.cross_encoder.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    first = Transformer(str(write_embedder(tmp_path / "body")))
    width, function = first.get_embedding_dimension(), getattr(torch.nn, activation)()
    dense = Dense(width, 3, activation_function=function, module_output_name="scores")
    theirs = saved(tmp_path / "saved", [first, Pooling(width, "mean"), dense])
    expected = theirs.predict(LISTS)
    assert_near(CrossEncoder(tmp_path / "saved").predict(list(PAIRS)), expected)
    assert_near(scores_in_pytorch(tmp_path / "saved", list(PAIRS)), expected)


@pytest.mark.parametrize("outputs", [32, 5])
def test_residual_and_normalisation_in_the_chain_are_theirs(outputs: int, tmp_path: Path) -> None:
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.cross_encoder.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Dropout, Pooling

    first = Transformer(str(write_embedder(tmp_path / "body")))
    width = first.get_embedding_dimension()
    modules = [
        first,
        Dense(width, 24, module_input_name="token_embeddings"),
        Pooling(24, "mean"),
        Dense(24, outputs, use_residual=True, module_output_name="wide"),
        Dropout(),
        Normalize(module_input_name="wide"),
        Dense(outputs, 1, activation_function=None, module_input_name="wide", module_output_name="scores"),
    ]
    expected = saved(tmp_path / "saved", modules).predict(LISTS)
    assert_near(CrossEncoder(tmp_path / "saved").predict(list(PAIRS)), expected)
    logits = scores_in_pytorch(tmp_path / "saved", list(PAIRS))[:, 0]
    assert_near(1 / (1 + np.exp(-logits)), expected)


def test_dense_layer_after_a_classifier_is_theirs(tmp_path: Path) -> None:
    """Such as one that calibrates its scores."""
    from sentence_transformers.cross_encoder.modules import Dense, Transformer
    from support.tiny_models import write_reranker

    first = Transformer(
        str(write_reranker(tmp_path / "body", labels=3)), transformer_task="sequence-classification"
    )
    last = Dense(3, 1, activation_function=None, module_input_name="scores")
    expected = saved(tmp_path / "saved", [first, last]).predict(LISTS)
    assert_near(CrossEncoder(tmp_path / "saved").predict(list(PAIRS)), expected)
    logits = scores_in_pytorch(tmp_path / "saved", list(PAIRS))[:, 0]
    assert_near(1 / (1 + np.exp(-logits)), expected)


# The examples of https://sbert.net/docs/cross_encoder/usage/custom_models.html with a language model.


def test_language_model_without_modules_is_theirs(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder as Theirs

    write_language_model(tmp_path / "body")
    (tmp_path / "body" / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    theirs = Theirs(
        str(tmp_path / "body"), device="cpu", prompts={"query": "Find bread"}, default_prompt_name="query"
    )
    theirs.save_pretrained(str(tmp_path / "saved"))
    pairs = [pair for pair in PAIRS if len("".join(pair)) < 200]
    expected = theirs.predict([list(pair) for pair in pairs])
    assert_near(CrossEncoder(tmp_path / "saved").predict(pairs), expected)


def test_language_model_with_other_tokens_is_theirs(tmp_path: Path) -> None:
    from sentence_transformers.cross_encoder.modules import LogitScore, Transformer

    write_language_model(tmp_path / "body")
    (tmp_path / "body" / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    first = Transformer(str(tmp_path / "body"), transformer_task="text-generation")
    ids = [first.tokenizer.convert_tokens_to_ids(token) for token in "10"]
    options = {"prompts": {"query": "Find bread"}, "default_prompt_name": "query"}
    theirs = saved(tmp_path / "saved", [first, LogitScore(*ids)], **options)
    pairs = [pair for pair in PAIRS if len("".join(pair)) < 200]
    expected = theirs.predict([list(pair) for pair in pairs])
    assert_near(CrossEncoder(tmp_path / "saved").predict(pairs), expected)


@pytest.mark.parametrize("family", ["qwen3", "gemma"])
@pytest.mark.parametrize("templated", [True, False])
def test_last_token_and_dense_layer_of_a_decoder_are_theirs(
    family: str, templated: bool, tmp_path: Path
) -> None:
    from sentence_transformers.cross_encoder.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    write_decoder_body(tmp_path / "body", family)
    if templated:
        (tmp_path / "body" / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    first = Transformer(str(tmp_path / "body"), transformer_task="feature-extraction")
    width = first.get_embedding_dimension()
    dense = Dense(width, 1, bias=False, activation_function=None, module_output_name="scores")
    options = {"prompts": {"query": "Find bread "}, "default_prompt_name": "query"}
    theirs = saved(tmp_path / "saved", [first, Pooling(width, "lasttoken"), dense], **options)
    pairs = [pair for pair in PAIRS if len("".join(pair)) < 200]
    expected = theirs.predict([list(pair) for pair in pairs], batch_size=1)
    assert_near(CrossEncoder(tmp_path / "saved").predict(pairs), expected)


# Embedders


def their_vectors(folder: Path) -> NDArray[np.float32]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return np.asarray(model.encode(list(TEXTS)))


def embedder(folder: Path, make: Callable[[Any], list[Any]]) -> Path:
    """An embedder of a transformer and the modules that are made for it, saved next to its folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer

    torch.manual_seed(11)
    first = Transformer(str(folder))
    model = SentenceTransformer(modules=[first, *make(first)], device="cpu")
    model.save_pretrained(str(folder.with_name("saved")))
    return folder.with_name("saved")


@pytest.mark.parametrize("mode", [*POOLINGS, ("mean", "max")])
def test_vectors_of_every_pooling_and_module_are_theirs(mode: Any, tmp_path: Path) -> None:
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

    def make(first: Any) -> list[Any]:
        pooling = Pooling(first.get_embedding_dimension(), pooling_mode=mode)
        width = pooling.get_embedding_dimension()
        return [pooling, LayerNorm(width), Dense(width, 48), Dense(48, 16, use_residual=True), Normalize()]

    folder = embedder(write_embedder(tmp_path / "body"), make)
    assert_near(BiEncoder(folder).encode_documents(TEXTS), their_vectors(folder))
    assert_near(in_pytorch(folder), their_vectors(folder))


@pytest.mark.parametrize("normalize", [True, False])
def test_static_vectors_are_theirs(normalize: bool, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(write_static(tmp_path / "tokenizer") / "tokenizer.json"))
    modules = [StaticEmbedding(tokenizer, embedding_dim=24), *([Normalize()] if normalize else [])]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "saved"))
    assert_near(BiEncoder(tmp_path / "saved").encode_documents(TEXTS), their_vectors(tmp_path / "saved"))


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text"])
def test_vectors_of_a_decoder_are_theirs(family: str, tmp_path: Path) -> None:
    """As Qwen3-Embedding pools the last token, and EmbeddingGemma has two dense layers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    config: dict[str, Any] = (
        {"use_bidirectional_attention": True, "sliding_window": 16} if family == "gemma3_text" else {}
    )
    first = Transformer(str(write_decoder_body(tmp_path / "body", family, **config)))
    width = first.get_embedding_dimension()
    modules = [first, Pooling(width, "lasttoken"), Normalize()]
    if family == "gemma3_text":
        modules[1:] = [Pooling(width, "mean"), Dense(width, 64, bias=False), Dense(64, width), Normalize()]
    theirs = SentenceTransformer(
        modules=modules, device="cpu", prompts={"query": "Query: ", "document": "title: none | text: "}
    )
    theirs.save_pretrained(str(tmp_path / "saved"))
    texts = [text for text in TEXTS if text and len(text) < 300]
    model = BiEncoder(tmp_path / "saved")
    assert_near(model.encode_queries(texts), np.asarray(theirs.encode_query(texts, batch_size=1)))
    assert_near(model.encode_documents(texts), np.asarray(theirs.encode_document(texts, batch_size=1)))


def in_pytorch(folder: Path) -> NDArray[np.float32]:
    model = open_model(folder)
    task, tokenizer = Embedding(read_settings(model).chain), BiEncoder(folder)._tokenizer
    return load_torch_engine(model, task, tokenizer, device="cpu", threads=2).engine.run(
        tokenizer.texts(list(TEXTS))
    )


def test_each_ettin_model_keeps_its_scores_in_an_int8_copy(tmp_path: Path) -> None:
    from crossrank.conversion.quantise import write_int8

    saved(tmp_path / "saved", ettin(write_embedder(tmp_path / "body")))
    write_int8(open_model(tmp_path / "saved"), tmp_path / "int8")
    one, other = (CrossEncoder(tmp_path / name).logits(list(PAIRS))[0] for name in ("saved", "int8"))
    assert 0 < np.abs(one - other).max() < 0.2 * np.std(one)


def test_saved_by_us_is_loaded_by_them(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder as Theirs

    saved(tmp_path / "saved", ettin(write_embedder(tmp_path / "body")))
    CrossEncoder(tmp_path / "saved").save_pretrained(tmp_path / "ours")
    expected = CrossEncoder(tmp_path / "saved").predict(list(PAIRS))
    assert_near(np.asarray(Theirs(str(tmp_path / "ours"), device="cpu").predict(LISTS)), expected)
    shutil.rmtree(tmp_path / "saved")
    change_json(tmp_path / "ours" / "config_sentence_transformers.json", activation_fn=None)
    assert_near(CrossEncoder(tmp_path / "ours").predict(list(PAIRS)), expected)


def test_truncated_vectors_are_theirs(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = write_embedder(tmp_path / "model")
    theirs = SentenceTransformer(str(folder), device="cpu", truncate_dim=8)
    ours = BiEncoder(folder, truncate_dim=8)
    assert_near(ours.encode_documents(TEXTS), np.asarray(theirs.encode(list(TEXTS))))
    theirs.save_pretrained(str(tmp_path / "saved"))
    assert_near(BiEncoder(tmp_path / "saved").encode_documents(TEXTS), ours.encode_documents(TEXTS))
