from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from crossrank.index import Index, kinds, vectors
from crossrank.index.store import Store
from crossrank.index.vectors import read_vectors
from crossrank.inference.bi_encoder import BiEncoder

_WORDS = "bread bees sea moon town night water tide baker city rain harbour flowers home train map"
WORDS = _WORDS.split()


def records(folder: Path, count: int, name: str = "many.jsonl", seed: int = 7) -> Path:
    chosen = np.random.default_rng(seed)
    lines = [
        json.dumps({"id": f"{name}{number}", "text": " ".join(chosen.choice(WORDS, 6)) + f" {number}"})
        for number in range(count)
    ]
    (folder / name).write_text("\n".join(lines))
    return folder / name


def faiss_files(index: Index) -> list[str]:
    return sorted(path.name for path in index.path.glob("vectors-*"))


def answers(index: Index) -> list[list[tuple[str, float]]]:
    return [
        [
            (candidate.document.id, candidate.score)
            for candidate in index.retrieve(query, 10, retrieval="dense")
        ]
        for query in ("bread at night", "the tide of the sea", "a train home")
    ]


@pytest.fixture
def index(tmp_path: Path, tiny_embedder: BiEncoder, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setattr(vectors, "_STALE_FEW", 20)
    return Index(tmp_path / "index", embedder=tiny_embedder)


def reopened(index: Index, tiny_embedder: BiEncoder) -> Index:
    return Index(index.path, embedder=tiny_embedder)


def test_faiss_file_carries_the_generation_it_was_written_at(index: Index, tmp_path: Path) -> None:
    index.add([records(tmp_path, 100)])
    (name,) = faiss_files(index)
    assert name.endswith(f"-{index.info().generation}.faiss")


@pytest.mark.parametrize("damage", ["missing", "garbage", "cut", "empty"])
def test_answers_do_not_depend_on_the_faiss_file(
    index: Index, tmp_path: Path, tiny_embedder: BiEncoder, damage: str
) -> None:
    index.add([records(tmp_path, 100)])
    expected = answers(index)
    file = index.path / faiss_files(index)[0]
    if damage == "missing":
        file.unlink()
    else:
        data = file.read_bytes()
        file.write_bytes(
            {"garbage": b"\x80\x04garbage" * 50, "cut": data[: len(data) // 2], "empty": b""}[damage]
        )
    again = reopened(index, tiny_embedder)
    assert answers(again) == expected
    records(tmp_path, 140, "more.jsonl", seed=8)
    again.add([tmp_path / "more.jsonl"])  # a writer makes a new one
    assert len(faiss_files(index)) == 1
    assert again.info().pending == 0


def test_few_changes_are_searched_beside_the_file(
    index: Index, tmp_path: Path, tiny_embedder: BiEncoder
) -> None:
    index.add([records(tmp_path, 100)])
    before = faiss_files(index)
    (tmp_path / "new.txt").write_text("bread at night bread at night")
    index.add([tmp_path / "new.txt"])
    assert faiss_files(index) == before
    info = reopened(index, tiny_embedder).info()
    assert (info.pending, info.tombstones) == (1, 0)
    found = index.retrieve("bread at night", 101, retrieval="dense")
    assert any(candidate.document.text.startswith("bread at night") for candidate in found)
    index.rm([tmp_path / "new.txt"])
    assert reopened(index, tiny_embedder).info().pending == 0


def test_passages_that_are_gone_are_not_found_though_the_file_has_them(
    index: Index, tmp_path: Path, tiny_embedder: BiEncoder
) -> None:
    file = records(tmp_path, 100)
    index.add([file])
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-5]))
    index.add()
    again = reopened(index, tiny_embedder)
    gone = {json.loads(line)["id"] + "#1" for line in lines[-5:]}
    found = {candidate.document.id for candidate in again.retrieve("bread", 100, retrieval="dense")}
    assert len(found) == 95
    assert not found & gone


@pytest.fixture
def graph(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index above the size up to which search is exact."""
    monkeypatch.setattr(vectors, "EXACT_UP_TO", 500)
    index.add([records(tmp_path, 600)])
    return index


def test_large_index_is_searched_by_hnsw_with_its_recall_measured(graph: Index) -> None:
    info = graph.info()
    assert info.vector_search == "HNSW"
    assert info.recall is not None
    assert 0.9 < info.recall <= 1.0


def test_recall_falls_where_neighbours_are_missed(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (vectors, "EXACT_UP_TO", 500),
        (kinds, "_LINKS", 2),
        (kinds, "_BUILD_CANDIDATES", 2),
        (vectors, "_SEARCH_CANDIDATES", 1),
    ):
        monkeypatch.setattr(module, name, value)
    index.add([records(tmp_path, 600)])
    recall = index.info().recall
    assert recall is not None
    assert recall < 0.9


def test_hnsw_passes_over_tombstones_and_is_built_anew_when_they_are_many(
    graph: Index, tmp_path: Path, tiny_embedder: BiEncoder
) -> None:
    first = faiss_files(graph)
    lines = (tmp_path / "many.jsonl").read_text().splitlines()
    (tmp_path / "many.jsonl").write_text("\n".join(lines[:-30]))
    graph.add()
    info = reopened(graph, tiny_embedder).info()
    # The changed file's passages are all new ones, and the old are tombstones: more than a fifth.
    assert (info.tombstones, info.pending, info.passages) == (0, 0, 570)
    assert faiss_files(graph) != first


def test_hnsw_takes_few_tombstones(graph: Index, tmp_path: Path, tiny_embedder: BiEncoder) -> None:
    graph.add([records(tmp_path, 60, "more.jsonl", seed=9)])
    graph.rm([tmp_path / "more.jsonl"])
    info = reopened(graph, tiny_embedder).info()
    assert (info.vector_search, info.tombstones, info.passages) == ("HNSW", 60, 600)
    found = {candidate.document.id for candidate in graph.retrieve("bread", 200, retrieval="dense")}
    assert not any(name.startswith("more") for name in found)
    assert info.recall is not None
    assert info.recall > 0.9


def test_filtered_search_of_a_large_index_is_exact(graph: Index) -> None:
    found = graph.retrieve("bread at night", 7, retrieval="dense", filters="source!=nothing")
    query = graph.embedder.encode_queries(["bread at night"])[0]
    with Store(graph.path).reading() as database:
        held = read_vectors(graph.path, database)
        exact = held.search(query, 7, np.sort(vectors._ids(held.base)))
    assert [candidate.score for candidate in found] == pytest.approx(exact.scores[:7].tolist())


def test_index_that_shrinks_is_searched_exactly_again(graph: Index, tmp_path: Path) -> None:
    lines = (tmp_path / "many.jsonl").read_text().splitlines()
    (tmp_path / "many.jsonl").write_text("\n".join(lines[:100]))
    graph.add()
    assert graph.info().vector_search == "exact"
