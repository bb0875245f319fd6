from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_models import HIDDEN, TEXTS, change_json, write_embedder, write_json

from crossrank.errors import InputError, ModelError
from crossrank.inference.bi_encoder import BiEncoder


@pytest.fixture(scope="module")
def bundled_embedder() -> BiEncoder:
    return BiEncoder()


@pytest.mark.parametrize("size", [2, 5])
def test_vector_is_the_same_bit_for_bit_in_any_company(size: int, bundled_embedder: BiEncoder) -> None:
    alone = np.concatenate([bundled_embedder.encode_documents([text]) for text in TEXTS])
    parts = [bundled_embedder.encode_documents(TEXTS[i : i + size]) for i in range(0, len(TEXTS), size)]
    np.testing.assert_array_equal(np.concatenate(parts), alone)


def test_bundled_embedder_puts_an_answer_nearest_its_question(bundled_embedder: BiEncoder) -> None:
    (question,) = bundled_embedder.encode_queries(["Who makes bread?"])
    passages = ["The tide turns twice a day.", "Bakers knead dough at night.", "The budget was passed."]
    vectors = bundled_embedder.encode_documents(passages)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert int((vectors @ question).argmax()) == 1


def test_no_texts_have_no_vectors_of_the_right_width(tiny_embedder: BiEncoder) -> None:
    assert tiny_embedder.encode_documents([]).shape == tiny_embedder.encode_queries([]).shape == (0, HIDDEN)


def test_progress_counts_every_text_once(tiny_embedder: BiEncoder) -> None:
    done: list[int] = []
    tiny_embedder.encode_documents(TEXTS * 30, progress=done.append)
    assert sum(done) == 30 * len(TEXTS)


@pytest.mark.parametrize("prompts", [{}, {"query": "question: "}])
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "a single string was given"),
        (["a text", None], "found NoneType"),
        ([b"bytes"], "found bytes"),
        (["half \ud83d"], "lone surrogates"),
    ],
)
def test_what_is_no_list_of_strings_is_refused(
    prompts: dict[str, str], texts: Any, message: str, tmp_path: Path
) -> None:
    model = BiEncoder(write_embedder(tmp_path / "model", settings={"prompts": prompts}))
    with pytest.raises(InputError, match=message):
        model.encode_queries(texts)


def test_prompts_are_put_before_questions_and_passages(tmp_path: Path) -> None:
    plain = BiEncoder(write_embedder(tmp_path / "plain"))
    prompts = {"query": "question: ", "passage": "passage: "}
    model = BiEncoder(write_embedder(tmp_path / "prompts", settings={"prompts": prompts}))
    np.testing.assert_array_equal(
        model.encode_queries(["a tide"]), plain.encode_documents(["question: a tide"])
    )
    np.testing.assert_array_equal(
        model.encode_documents(["a tide"]), plain.encode_documents(["passage: a tide"])
    )


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("1_Pooling", {"include_prompt": False}, "leaves its prompt out"),
        (
            "2_Dense",
            {"activation_function": "torch.nn.modules.activation.PReLU"},
            "has the activation .*PReLU",
        ),
        ("2_Dense", {"use_residual": True}, "residual.weight should be 20x32 and is not there"),
    ],
)
def test_module_that_the_graph_cannot_follow_is_refused(
    file: str, changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = write_embedder(tmp_path / "model", dense="torch.nn.modules.activation.Tanh")
    change_json(folder / file / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        BiEncoder(folder)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, 2, 1, 3], "2_Dense reads 'sentence_embedding', and before it there are token_embeddings"),
        ([0, 3], "3_Normalize reads 'sentence_embedding'"),
        ([0], "no pooling module"),
    ],
)
def test_modules_in_another_order_are_refused(order: list[int], message: str, tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model", dense="torch.nn.modules.activation.Tanh")
    modules = json.loads((folder / "modules.json").read_text())
    write_json(folder / "modules.json", [modules[i] | {"idx": place} for place, i in enumerate(order)])
    with pytest.raises(ModelError, match=message):
        BiEncoder(folder)


@pytest.mark.parametrize("kind", ["LSTM", "WeightedLayerPooling", "Router"])
def test_module_that_is_not_known_is_refused(kind: str, tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    extra = {"idx": 9, "name": "9", "path": "9", "type": f"sentence_transformers.models.{kind}"}
    write_json(folder / "modules.json", [*modules, extra])
    with pytest.raises(ModelError, match=f"a module .*{kind}"):
        BiEncoder(folder)


@pytest.mark.parametrize("content", ["{", "7", '["Transformer"]'])
def test_damaged_list_of_modules_is_refused(content: str, tmp_path: Path) -> None:
    folder = write_embedder(tmp_path / "model")
    (folder / "modules.json").write_text(content)
    with pytest.raises(ModelError, match=r"modules\.json cannot be read"):
        BiEncoder(folder)


@pytest.mark.parametrize(
    ("name", "normalize", "settings", "expected"),
    [
        ("model", True, None, "cosine"),
        ("model", False, None, "cosine"),
        ("msmarco-bert-dot-v5", False, None, "dot"),
        ("msmarco-bert-dot-v5", True, None, "cosine"),
        ("msmarco-bert-dot-v5", False, {"similarity_fn_name": "euclidean"}, "euclidean"),
    ],
)
def test_similarity_is_what_the_model_says(
    name: str, normalize: bool, settings: dict[str, str] | None, expected: str, tmp_path: Path
) -> None:
    model = BiEncoder(write_embedder(tmp_path / name, normalize=normalize, settings=settings))
    assert model.similarity == expected


def test_similarity_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="compares by 'manhattan'"):
        BiEncoder(write_embedder(tmp_path / "model", settings={"similarity_fn_name": "manhattan"}))
