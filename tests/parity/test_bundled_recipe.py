"""The bundled reranker's recipe from one end to the other, at a ten-thousandth of the size."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.tiny_models import write_reranker

from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.retrieval.bm25 import BM25Index

pytestmark = pytest.mark.parity

RECIPE = Path(__file__).parents[2] / "recipes" / "bundled"
_SUBJECTS = ("bee", "fox", "owl", "carp", "mole", "crow", "hare", "newt", "swan", "toad", "wolf", "wren")
_FACTS = ("eats what it finds", "sleeps under leaves", "fights with its like", "sings in the morning")


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    _write_judged(folder / "data" / "train")
    _write_unjudged(folder / "data" / "text" / "birds.jsonl.gz", "bird")
    _write_unjudged(folder / "data" / "text" / "digikam.jsonl.gz", "camera")  # two fields that are kept out
    _write_unjudged(folder / "data" / "text" / "letsencrypt.jsonl.gz", "key")
    _run("candidates.py", folder / "data", folder / "lists")
    return folder / "lists"


def _write_judged(train: Path) -> None:
    # Every collection that shares its pool with others has to be there.
    sys.path.insert(0, str(RECIPE))
    try:
        from fields import POOLS
    finally:
        sys.path.remove(str(RECIPE))
    for name in (*(each for names in POOLS.values() for each in names), "animals", "software_faq"):
        folder = train / name
        (folder / "qrels").mkdir(parents=True)
        texts = [f"The {subject} of {name} {fact}." for subject in _SUBJECTS for fact in _FACTS]
        asked = [f"what {subject} {fact.split()[0]}" for subject in _SUBJECTS for fact in _FACTS]
        for file, rows in (("corpus", texts), ("queries", asked)):
            lines = (json.dumps({"_id": str(n), "text": text}) + "\n" for n, text in enumerate(rows))
            (folder / f"{file}.jsonl").write_text("".join(lines))
        judgements = "".join(f"{n}\t{n}\t1\n" for n in range(len(texts)))
        (folder / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judgements}")


def _write_unjudged(file: Path, kind: str) -> None:
    file.parent.mkdir(exist_ok=True)
    rows = [
        {"query": f"How the {kind} {subject} {fact}", "title": kind, "text": f"A {subject} {fact}, they say."}
        for subject in _SUBJECTS
        for fact in _FACTS
    ]
    with gzip.open(file, "wt") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def _run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(RECIPE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_word_scores_are_those_of_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPE))
    from words import WordScores

    chance = random.Random(7)
    words = ("bees", "dance", "Café", "2024", "trains", "at", "night")
    passages = [" ".join(chance.choices(words, k=9)) for _ in range(40)]
    queries = ["Do bees dance?", "café trains, trains", "the", "nothing known"]
    for query, scores in zip(queries, WordScores(passages).scores(queries), strict=True):
        found = dict(BM25Index(passages).search(query, 40))
        assert np.flatnonzero(scores).tolist() == sorted(found)
        np.testing.assert_allclose(scores[list(found)], list(found.values()), rtol=1e-5)


def test_lists_have_the_right_passage_first_and_evidence_of_each(lists: Path) -> None:
    content = json.loads(gzip.decompress((lists / "animals.json.gz").read_bytes()))
    assert len(content["lists"]) == 48
    for item in content["lists"]:
        assert item["candidates"][0] == item["relevant"][0]
        assert len(set(item["candidates"])) == len(item["candidates"]) >= 20
        assert len(item["similarity"]) == len(item["word_match"]) == len(item["candidates"])
        assert max(item["word_match"]) <= 1


def test_a_training_that_is_stopped_ends_as_one_that_is_not(lists: Path, tmp_path: Path) -> None:
    write_reranker(tmp_path / "base")
    options = [
        "--base",
        tmp_path / "base",
        "--pairs",
        400,
        "--width",
        4,
        "--lists-per-step",
        8,
        "--tokens",
        32,
    ]
    _run("student.py", lists, tmp_path / "whole", *options)
    _run("student.py", lists, tmp_path / "parts", *options, "--stop-at", 150)
    assert not (tmp_path / "parts" / "model").exists()
    _run("student.py", lists, tmp_path / "parts", *options)
    whole, parts = (load_file(tmp_path / n / "model" / "model.safetensors") for n in ("whole", "parts"))
    base = load_file(tmp_path / "base" / "model.safetensors")
    assert any(not np.array_equal(whole[name], base[name]) for name in base)
    for name, tensor in whole.items():
        np.testing.assert_array_equal(tensor, parts[name], err_msg=name)


def test_a_model_teaches_the_next_one_on_another_machine(lists: Path, tmp_path: Path) -> None:
    write_reranker(tmp_path / "base")
    _run("score.py", lists, tmp_path / "base", tmp_path / "taught")
    taught = json.loads(gzip.decompress((tmp_path / "taught" / "animals.json.gz").read_bytes()))["lists"]
    assert all(len(item["teacher"]) == len(item["candidates"]) for item in taught)
    _run("parts.py", "pack", tmp_path / "taught", tmp_path / "base", tmp_path / "parts", "--megabytes", 1)
    _run("parts.py", "unpack", tmp_path / "parts", tmp_path / "there")
    there = tmp_path / "there"
    options = ["--base", there / "base", "--pairs", 60, "--width", 4, "--lists-per-step", 8, "--tokens", 32]
    _run("student.py", there / "taught", tmp_path / "student", *options)
    printed = _run("judge.py", there / "taught", tmp_path / "student" / "model", DEFAULT_CROSS_ENCODER)
    assert "digikam" in printed
    assert "animals" not in printed
    assert f"{DEFAULT_CROSS_ENCODER}, as a search ranks" in printed


def test_float_weights_that_are_kept_get_weights_of_the_evidence(lists: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    _run("weights.py", "write", model)
    before = load_file(model / "model.safetensors")
    _run("evidence.py", lists, model)
    after = load_file(model / "model.safetensors")
    changed = {name for name, values in after.items() if (values != before[name]).any()}
    assert changed == {"classifier.weight", "classifier.bias"}
    ranked = CrossEncoder(model).rank("Who bakes bread?", ["A tide table.", "Bakers bake bread."])
    assert [hit["corpus_id"] for hit in ranked] == [1, 0]
    weights = json.loads((model / "crossrank.json").read_text())["interpolation"]["weights"]
    used = [(each["similarity"] is not None, each["word_match"] is not None) for each in weights]
    assert used == [(True, False), (False, True), (True, True)]


def test_a_damaged_part_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(os.urandom(2_000_000))
    _run("parts.py", "pack", tmp_path / "folder", tmp_path / "parts", "--megabytes", 1)
    part = tmp_path / "parts" / "part-001"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    command = [
        sys.executable,
        str(RECIPE / "parts.py"),
        "unpack",
        str(tmp_path / "parts"),
        str(tmp_path / "there"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert not (tmp_path / "there").exists()
