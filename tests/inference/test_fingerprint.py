"""What tells embedders apart, and what does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.onnx_models import export, strange_family
from support.tiny_models import save, write_embedder, write_reranker

from crossrank.conversion.quantise import write_int8
from crossrank.families.model import open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_embedder(tmp_path / "embedder", dense="Tanh")


def fingerprint(folder: Path) -> str:
    return BiEncoder(folder).fingerprint


def test_a_copy_under_another_name_has_the_same(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    config |= {"_name_or_path": "elsewhere", "transformers_version": "9.9", "architectures": ["Other"]}
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config))
    assert fingerprint(tmp_path / "copy") == fingerprint(folder)


@pytest.mark.parametrize("which", ["a bias", "a matrix", "a dense layer"])
def test_other_weights_have_another(folder: Path, which: str) -> None:
    before = fingerprint(folder)
    changed = folder / "2_Dense" if which == "a dense layer" else folder
    tensors = load_file(changed / "model.safetensors")
    ending = {"a bias": "output.dense.bias", "a matrix": "query.weight"}.get(which, "linear.weight")
    name = next(name for name in sorted(tensors) if name.endswith(ending))
    tensors[name] = tensors[name] * np.float32(1.01)
    save(changed, tensors)
    assert fingerprint(folder) != before


@pytest.mark.parametrize("file", ["tokenizer.json", "config.json", "sentence_bert_config.json"])
def test_other_settings_have_another(folder: Path, file: str) -> None:
    before = fingerprint(folder)
    settings = json.loads((folder / file).read_text())
    if file == "tokenizer.json":
        vocabulary = settings["model"]["vocab"]
        vocabulary["bread"], vocabulary["bees"] = vocabulary["bees"], vocabulary["bread"]
    else:
        settings |= {"layer_norm_eps": 0.1, "max_seq_length": 16}
    (folder / file).write_text(json.dumps(settings))
    assert fingerprint(folder) != before


def test_each_pooling_prompt_and_similarity_has_its_own(tmp_path: Path) -> None:
    folders = [
        write_embedder(tmp_path / "mean"),
        write_embedder(tmp_path / "cls", pooling="cls"),
        write_embedder(tmp_path / "long", normalize=False),
        write_embedder(tmp_path / "dot", settings={"similarity_fn_name": "dot"}),
        write_embedder(tmp_path / "prompted", settings={"prompts": {"query": "question: "}}),
    ]
    assert len({fingerprint(folder) for folder in folders}) == len(folders)


def test_the_int8_copy_has_another_since_its_vectors_differ(folder: Path, tmp_path: Path) -> None:
    write_int8(open_model(folder), tmp_path / "int8")
    assert fingerprint(tmp_path / "int8") != fingerprint(folder)


def test_a_model_that_runs_from_an_exported_file_is_known_by_that(tmp_path: Path) -> None:
    folders = []
    for number, output in enumerate(("last_hidden_state", "token_embeddings", "last_hidden_state")):
        folders.append(strange_family(tmp_path / str(number), write_embedder))
        export(folders[-1] / "onnx" / "model.onnx", output)
    first, second, third = map(fingerprint, folders)
    assert first == third != second


def test_a_cross_encoder_is_known_by_content_length_and_prompt(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "reranker")
    known = CrossEncoder(folder).fingerprint
    shutil.copytree(folder, tmp_path / "copy")
    assert CrossEncoder(tmp_path / "copy").fingerprint == known
    found = {
        known,
        CrossEncoder(folder, max_length=16).fingerprint,
        CrossEncoder(folder, prompts={"q": "question: "}, default_prompt_name="q").fingerprint,
    }
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"] = tensors["classifier.bias"] + np.float32(1)
    save(folder, tensors)
    found.add(CrossEncoder(folder).fingerprint)
    assert len(found) == 4
