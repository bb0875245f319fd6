"""Vectors that are held in int8 or a bit a number, and scored by the exact ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny_models import write_embedder

from crossrank.errors import InputError
from crossrank.index import Index, vectors
from crossrank.inference.bi_encoder import BiEncoder

_WORDS = "bread bees sea moon town night water tide baker city rain harbour flowers home train map"
WORDS = _WORDS.split()
QUERIES = ("bread at night", "the tide of the sea", "a train home")


def records(folder: Path, count: int) -> Path:
    chosen = np.random.default_rng(7)
    lines = [
        json.dumps({"id": f"{number}", "text": " ".join(chosen.choice(WORDS, 6)), "year": 1990 + number % 30})
        for number in range(count)
    ]
    (folder / "many.jsonl").write_text("\n".join(lines))
    return folder / "many.jsonl"


def answers(index: Index, filters: str | tuple[str, ...] = ()) -> list[list[tuple[str, float]]]:
    return [
        [
            (candidate.document.id, candidate.score)
            for candidate in index.retrieve(query, 10, retrieval="dense", filters=filters)
        ]
        for query in QUERIES
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return records(tmp_path_factory.mktemp("records"), 600)


@pytest.fixture(scope="module")
def exact(file: Path, tmp_path_factory: pytest.TempPathFactory, tiny_embedder: BiEncoder) -> Index:
    index = Index(tmp_path_factory.mktemp("exact") / "index", embedder=tiny_embedder)
    index.add([file])
    return index


@pytest.mark.parametrize("kind", ["int8", "binary"])
@pytest.mark.parametrize("filters", [(), "year>=2010"])
def test_best_are_found_and_have_their_exact_scores(
    kind: str,
    filters: str | tuple[str, ...],
    file: Path,
    exact: Index,
    tmp_path: Path,
    tiny_embedder: BiEncoder,
) -> None:
    index = Index(tmp_path / "index", embedder=tiny_embedder, vectors=kind)
    index.add([file])
    for found, expected in zip(answers(index, filters), answers(exact, filters), strict=True):
        scores = dict(expected)
        common = [(passage, score) for passage, score in found if passage in scores]
        assert len(common) >= (9 if kind == "int8" else 5)
        assert all(score == pytest.approx(scores[passage], abs=1e-6) for passage, score in common)


@pytest.mark.parametrize(("kind", "least"), [("int8", 0.95), ("binary", 0.5)])
def test_recall_is_measured_and_the_file_is_smaller(
    kind: str, least: float, file: Path, exact: Index, tmp_path: Path, tiny_embedder: BiEncoder
) -> None:
    index = Index(tmp_path / "index", embedder=tiny_embedder, vectors=kind)
    index.add([file])
    info = index.info()
    assert info.vectors == kind
    assert info.recall is not None
    assert least < info.recall <= 1
    one, other = (next(each.path.glob("vectors-*")).stat().st_size for each in (index, exact))
    assert one < 0.6 * other


@pytest.mark.parametrize("kind", ["int8", "binary"])
def test_passages_added_and_deleted_since_are_searched_rightly(
    kind: str, tmp_path: Path, tiny_embedder: BiEncoder
) -> None:
    many = records(tmp_path, 600)
    index = Index(tmp_path / "index", embedder=tiny_embedder, vectors=kind)
    index.add([many])
    lines = many.read_text().splitlines()
    extra = tmp_path / "extra.jsonl"
    extra.write_text("\n".join([json.dumps({"id": "new", "text": "bread at night"}), *lines[:20]]))
    index.add([extra])
    assert index.info().pending
    assert "extra.jsonl:new" in index.retrieve("bread at night", 1, retrieval="dense")[0].document.id
    index.rm([extra])
    assert "extra.jsonl" not in str(answers(index))
    assert len(index.retrieve("bread", 600, retrieval="dense")) == 600


def test_int8_takes_hnsw_when_it_grows(
    file: Path, tmp_path: Path, tiny_embedder: BiEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "EXACT_UP_TO", 500)
    index = Index(tmp_path / "index", embedder=tiny_embedder, vectors="int8")
    index.add([file])
    info = index.info()
    assert (info.vector_search, info.vectors) == ("HNSW", "int8")
    assert info.recall is not None
    assert info.recall > 0.8


def test_kind_is_kept_refused_and_changed_by_a_rebuild(
    file: Path, exact: Index, tmp_path: Path, tiny_embedder: BiEncoder
) -> None:
    index = Index(tmp_path / "index", embedder=tiny_embedder, vectors="int8")
    index.add([file])
    assert Index(index.path, embedder=tiny_embedder).info().vectors == "int8"
    with pytest.raises(InputError, match=r"made with int8 vectors, not binary.* rebuild .* --vectors binary"):
        Index(index.path, embedder=tiny_embedder, vectors="binary").add()
    Index(index.path, embedder=tiny_embedder, vectors="float32").rebuild()
    assert index.info().vectors == "float32"
    assert answers(index) == answers(exact)


def test_kinds_that_are_none_or_do_not_fit_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vectors must be one of float32, int8, binary"):
        Index(tmp_path / "index", vectors="int4").add([file])
    folder = write_embedder(tmp_path / "far", settings={"similarity_fn_name": "euclidean"})
    with pytest.raises(InputError, match="vectors cannot be binary"):
        Index(tmp_path / "index", embedder=folder, vectors="binary").add([file])
