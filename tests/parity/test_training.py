"""A whole training with PyTorch: stopped and gone on with, loaded by the libraries that users have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import write_reranker

from crossrank import CrossEncoder

pytestmark = pytest.mark.parity

_FACTS = ("eats what it finds", "sleeps under leaves", "fights with its like", "sings in the morning")
_ANIMALS = ("bee", "fox", "owl", "carp", "mole", "crow", "hare", "newt", "swan", "toad", "wolf", "wren")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged") / "animals"
    (folder / "qrels").mkdir(parents=True)
    names = [(animal, fact) for animal in _ANIMALS for fact in _FACTS]
    documents = [
        {"_id": str(n), "text": f"The {a} {f}, as long as it lives."} for n, (a, f) in enumerate(names)
    ]
    queries = [{"_id": str(n), "text": f"what {a} {f.split()[0]}"} for n, (a, f) in enumerate(names)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = ["query-id\tcorpus-id\tscore", *(f"{n}\t{n}\t1" for n in range(len(names)))]
    (folder / "qrels" / "train.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def config(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config")
    write_reranker(folder / "base")
    file = folder / "train.toml"
    file.write_text(
        'base = "./base"\npasses = 8\nlists_per_step = 4\nlearning_rate = 1e-3\nmax_tokens = 32\n'
        "joint = 0.5\n"
        f'[[data]]\nfolder = "{judged}"\n'
    )
    return file


def start(config: Path, output: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "crossrank",
        "train",
        "--config",
        str(config),
        "-o",
        str(output),
        "--json",
    ]
    environment = os.environ | {"CROSSRANK_DEBUG": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def log(model: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (model / "training.jsonl").read_text().splitlines()]


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=170)
    assert process.returncode == 0, err
    report: dict[str, Any] = json.loads(out)
    return report


@pytest.fixture(scope="module")
def trained(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained") / "model"
    report = finish(start(config, output))
    assert report["pairs"] == 44 * 8 * 8  # questions, passes, passages
    # Sums are left out in which something would count against a passage.
    added = {"similarity", "words", "similarity and words"}
    assert set(report["mean"]) - {f"after, with {names}" for names in added} == {
        "bi-encoder",
        "before",
        "after",
        "after, int8",
    }
    return output


def test_the_folder_is_complete_and_nothing_else_is_left(trained: Path) -> None:
    names = {file.name for file in trained.iterdir()}
    assert sorted(names - {"crossrank.json"}) == [
        "README.md", "config.json", "figures.json", "int8", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "training.jsonl", "training.png",
    ]  # fmt: skip
    assert [file.name for file in trained.parent.iterdir()] == ["model"]
    card = (trained / "README.md").read_text()
    assert "| animals | train | all |" in card
    settings = tomllib.loads(card.split("```toml")[1].split("```")[0])
    assert (settings["passes"], settings["joint"]) == (8, 0.5)
    assert "50% of the loss is of the logit and these two summed" in card


def test_the_loss_falls(trained: Path) -> None:
    losses = [line["loss"] for line in log(trained) if "loss" in line]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_the_model_scores_the_same_in_sentence_transformers_transformers_and_here(trained: Path) -> None:
    import torch
    from sentence_transformers import CrossEncoder as Peer
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    pairs = [
        ("what fox eats", "The fox eats what it finds."),
        ("what owl sings", "The bee sleeps under leaves."),
    ]
    peer = Peer(str(trained)).predict(pairs, activation_fn=torch.nn.Identity())
    model = AutoModelForSequenceClassification.from_pretrained(trained).eval()
    tokens = AutoTokenizer.from_pretrained(trained)(
        *zip(*pairs, strict=True), padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        plain = model(**tokens).logits[:, 0].numpy()
    ours = CrossEncoder(trained).logits(pairs)[0]
    assert ours == pytest.approx(peer, abs=1e-4)
    assert ours == pytest.approx(plain, abs=1e-4)
    assert CrossEncoder(trained / "int8").logits(pairs)[0] == pytest.approx(ours, abs=0.2)


def test_a_training_killed_in_the_middle_goes_on_to_the_same_model(
    config: Path, trained: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    process = start(config, output)
    checkpoints = tmp_path / "model.training" / "checkpoints"
    deadline = time.monotonic() + 120
    while len(list(checkpoints.glob("checkpoint-*/trainer_state.json"))) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not output.exists()
    finish(start(config, output))
    once, twice = load_file(trained / "model.safetensors"), load_file(output / "model.safetensors")
    assert once.keys() == twice.keys()
    for name, values in once.items():
        assert np.abs(values - twice[name]).max() < 1e-6, name
    assert [line["step"] for line in log(output)] == [line["step"] for line in log(trained)]


def test_an_output_that_exists_is_left_alone(config: Path, trained: Path) -> None:
    before = (trained / "README.md").read_text()
    process = start(config, trained)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "exists" in err
    assert (trained / "README.md").read_text() == before


def test_a_family_without_a_graph_is_refused_before_the_work(judged: Path, tmp_path: Path) -> None:
    base = write_reranker(tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"model_type": "albert"}))
    file = tmp_path / "train.toml"
    file.write_text(f'base = "./base"\n[[data]]\nfolder = "{judged}"\n')
    process = start(file, tmp_path / "model")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "it is albert" in err
    assert not (tmp_path / "model.training").exists()


def test_frozen_layers_and_the_embeddings_under_them_do_not_learn(judged: Path, tmp_path: Path) -> None:
    from crossrank.training.settings import JudgedData, TrainingSettings
    from crossrank.training.trainer import ListwiseTrainer

    base = write_reranker(tmp_path / "base")
    settings = TrainingSettings(data=(JudgedData(judged),), frozen_layers=1)
    model = ListwiseTrainer(base, tmp_path, settings, lambda *_: None).model
    learning = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, learns in learning.items():
        assert learns is not ("embeddings" in name or ".layer.0." in name), name
    assert any(learning.values())


def test_a_bundled_model_is_a_base(judged: Path, tmp_path: Path) -> None:
    """Its int8 weights become floats again: the model that is trained starts where the bundled one stands."""
    from crossrank.families.model import open_model
    from crossrank.models.locate import DEFAULT_CROSS_ENCODER
    from crossrank.training.base_model import write_float_folder

    write_float_folder(open_model(DEFAULT_CROSS_ENCODER), tmp_path / "float")
    pairs = [("who bakes bread", "Bakers bake bread."), ("who bakes bread", "A tide table.")]
    assert CrossEncoder(tmp_path / "float").logits(pairs)[0] == pytest.approx(
        CrossEncoder(DEFAULT_CROSS_ENCODER).logits(pairs)[0], abs=0.3
    )


def test_memory_is_given_back_every_ten_steps(
    judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset

    from crossrank.training import memory
    from crossrank.training.mining import TrainingList
    from crossrank.training.settings import JudgedData, TrainingSettings
    from crossrank.training.trainer import ListwiseTrainer

    calls: list[str] = []
    monkeypatch.setattr(memory, "keep_freed_memory", lambda: calls.append("keep"))
    monkeypatch.setattr(memory, "trim", lambda: calls.append("give back"))
    documents = ("Bakers bake bread.", "A tide table.")
    one = {"query": "who bakes bread", "documents": documents, "evidence": (1.0, 0.0)}
    lists = Dataset.from_list([one | {"relevant": 1, "labels": (2.0, 0.0)}] * 23)
    base = write_reranker(tmp_path / "base")
    settings = TrainingSettings(data=(JudgedData(judged),), lists_per_step=1)
    trainer = ListwiseTrainer(base, tmp_path, settings, lambda *_: None)
    trainer.train(lists, [TrainingList("judged", "who bakes bread", documents, (2.0, 0.0), 1)])
    assert calls == ["keep", "give back", "give back"]
