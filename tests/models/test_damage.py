"""Files of a model that hold something else than they should are a ModelError, whatever it is."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.commands import crossrank, one_line
from support.tiny_models import write_embedder, write_json, write_reranker

from crossrank.conversion.checking import check_model
from crossrank.errors import ModelError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

NO_JSON = [b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000]
VALUES: list[Any] = [None, "x", -1, 0, 2.5, [], {}, [1], {"a": 1}, True, 10**9, "\ud800"]
RERANKER = {
    "config.json": ["model_type", "architectures", "hidden_size", "num_hidden_layers", "num_attention_heads",
                    "layer_norm_eps", "hidden_act", "vocab_size", "max_position_embeddings", "id2label",
                    "type_vocab_size", "intermediate_size", "pad_token_id", "num_labels"],
    "tokenizer.json": ["model", "post_processor", "pre_tokenizer", "normalizer", "added_tokens"],
    "tokenizer_config.json": ["unk_token", "model_max_length"],
    "crossrank.json": ["scripts", "probe", "interpolation"],
    "modules.json": [0],
    "sentence_bert_config.json": ["max_seq_length", "do_lower_case", "modality_config"],
    "config_sentence_transformers.json": ["activation_fn", "prompts", "default_prompt_name"],
}  # fmt: skip
EMBEDDER = {
    "config.json": ["hidden_size", "architectures"],
    "modules.json": [0, 1],
    "1_Pooling/config.json": ["pooling_mode_mean_tokens", "word_embedding_dimension"],
    "sentence_bert_config.json": ["max_seq_length", "do_lower_case"],
    "config_sentence_transformers.json": ["prompts", "default_prompt_name", "similarity_fn_name"],
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[type, Path]:
    folder = tmp_path_factory.mktemp("models")
    reranker = write_reranker(folder / "reranker")
    # So that prompts are read.
    write_json(reranker / "modules.json", [{"idx": 0, "path": "", "type": "Transformer"}])
    return {CrossEncoder: reranker, BiEncoder: write_embedder(folder / "embedder")}


def settings() -> list[tuple[type, str, str | int]]:
    return [
        (kind, file, key)
        for kind, files in ((CrossEncoder, RERANKER), (BiEncoder, EMBEDDER))
        for file, keys in files.items()
        for key in keys
    ]


def use(kind: type, folder: Path) -> None:
    """Load a model and have it read a text; nothing but a ModelError may come of it."""
    with suppress(ModelError):
        model = kind(folder)
        model.predict([("a", "b")]) if kind is CrossEncoder else model.encode_documents(["a"])
    with suppress(ModelError):
        check_model(folder)


@pytest.mark.parametrize(("kind", "file", "key"), settings())
def test_a_setting_of_any_other_kind_is_a_model_error_or_harmless(
    kind: type, file: str, key: str | int, folders: dict[type, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders[kind], folder)
    content = json.loads((folder / file).read_text()) if (folder / file).is_file() else {}
    for value in VALUES:
        content[key] = value
        (folder / file).write_text(json.dumps(content))
        use(kind, folder)


@pytest.mark.parametrize(("kind", "file"), sorted({(k, f) for k, f, _ in settings()}, key=str))
def test_a_file_that_is_no_json_is_a_model_error_that_names_it(
    kind: type, file: str, folders: dict[type, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders[kind], folder)
    for content in NO_JSON:
        (folder / file).write_bytes(content)
        if content == b"[]" and file == "modules.json":
            continue  # a list, as it should be
        with pytest.raises(ModelError) as caught:
            kind(folder)
        assert file.rpartition("/")[2] in str(caught.value)


@pytest.mark.parametrize("command", ["check", "search", "pull", "rerank", "package"])
def test_every_command_says_in_one_line_what_is_wrong_with_a_model_and_exits_3(
    command: str, folders: dict[type, Path], tmp_path: Path
) -> None:
    folder, text = tmp_path / "model", tmp_path / "a.txt"
    shutil.copytree(folders[CrossEncoder], folder)
    text.write_text("Bakers bake.")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": "small"}))
    process = {
        "check": lambda: crossrank("check", folder),
        "search": lambda: crossrank("search", "bakers", text, "--model", folder),
        "pull": lambda: crossrank("pull", folder, "-o", tmp_path / "copy"),
        "rerank": lambda: crossrank("rerank", "bakers", text, "--model", folder),
        "package": lambda: crossrank("sagemaker", "package", folder, "-o", tmp_path / "model.tar.gz"),
    }[command]()
    assert process.returncode == 3, process.stderr
    assert "could not convert string to float: 'small'" in one_line(process)
    assert {path.name for path in tmp_path.iterdir()} == {"model", "a.txt"}
