from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.tiny_models import write_embedder

from crossrank.errors import InputError, ModelError
from crossrank.index import Index
from crossrank.inference.bi_encoder import BiEncoder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_embedder(tmp_path / "one")
    write_embedder(tmp_path / "two", pooling="cls")
    return tmp_path.resolve()


@pytest.fixture
def index(models: Path) -> Index:
    (models / "bread.txt").write_text("the baker bakes bread")
    index = Index(models / "index", embedder=models / "one")
    index.add([models / "bread.txt"])
    return index


def test_index_is_searched_with_the_embedder_it_was_made_with(index: Index, models: Path) -> None:
    assert Index(index.path).retrieve("bread", 1) == index.retrieve("bread", 1)
    assert Index(index.path).info().embedder == str(models / "one")


def test_truncated_vectors_and_prompts_are_kept_with_the_index(models: Path) -> None:
    (models / "bread.txt").write_text("the baker bakes bread")
    embedder = BiEncoder(models / "one", truncate_dim=8, prompts={"query": "where is "})
    index = Index(models / "index", embedder=embedder)
    index.add([models / "bread.txt"])
    for other in (Index(index.path), Index(index.path, embedder=models / "one")):
        assert other.retrieve("bread", 1) == index.retrieve("bread", 1)
        assert other.info().dimension == 8
    Index(index.path, embedder=BiEncoder(models / "one")).rebuild()
    assert Index(index.path).info().dimension == 32


@pytest.mark.parametrize("use", ["add", "retrieve"])
def test_another_embedder_is_refused_with_both_names(index: Index, models: Path, use: str) -> None:
    other = Index(index.path, embedder=BiEncoder(models / "two"))
    arguments = {"add": ([models / "bread.txt"],), "retrieve": ("bread", 1)}[use]
    with pytest.raises(InputError, match=f"{models / 'one'}, not {models / 'two'}.*crossrank index rebuild"):
        getattr(other, use)(*arguments)


def test_words_are_found_without_any_embedder(index: Index, models: Path) -> None:
    shutil.rmtree(models / "one")
    assert Index(index.path).retrieve("bread", 1, retrieval="lexical")
    with pytest.raises(ModelError):
        Index(index.path).retrieve("bread", 1)


def test_model_that_changed_under_its_name_is_refused(index: Index, models: Path) -> None:
    shutil.rmtree(models / "one")
    write_embedder(models / "one", pooling="max")
    with pytest.raises(InputError, match=r"no longer the one.*crossrank index rebuild"):
        Index(index.path).retrieve("bread", 1)


def test_rebuild_changes_the_embedder_without_reading_the_files(index: Index, models: Path) -> None:
    (models / "bread.txt").unlink()
    two = Index(index.path, embedder=models / "two")
    told: list[tuple[int, int]] = []
    two.rebuild(progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
    (candidate,) = two.retrieve("bread", 1)
    assert candidate.document.text == "the baker bakes bread"
    assert candidate.embedder == BiEncoder(models / "two").fingerprint
    with pytest.raises(InputError, match=r"two, not .*one"):
        index.retrieve("bread", 1)  # this object was given the embedder of before


def test_rebuild_keeps_the_embedder_where_none_is_given(index: Index, models: Path) -> None:
    before = index.retrieve("bread", 1)
    Index(index.path).rebuild()
    assert Index(index.path).retrieve("bread", 1) == before


def test_rebuild_makes_the_words_anew(index: Index) -> None:
    with index._store.writing() as database:
        database.execute("INSERT INTO words (words) VALUES ('delete-all')")
    assert index.retrieve("bread", 1, retrieval="lexical") == []
    index.rebuild()
    assert len(index.retrieve("bread", 1, retrieval="lexical")) == 1


def test_model_that_moved_is_the_same_model(index: Index, models: Path) -> None:
    before = index.retrieve("bread", 1)
    (models / "one").rename(models / "moved")
    with pytest.raises(ModelError):
        Index(index.path).retrieve("bread", 1)
    moved = Index(index.path, embedder=models / "moved")
    assert moved.retrieve("bread", 1) == before
    moved.add()
    assert Index(index.path).info().embedder == str(models / "moved")
    assert Index(index.path).retrieve("bread", 1) == before


@pytest.mark.parametrize("wrong", ["embedder", "sizes"])
def test_first_add_that_fails_leaves_nothing(models: Path, wrong: str) -> None:
    options = {"embedder": models / "nothing"} if wrong == "embedder" else {"chunk_size": 0}
    (models / "bread.txt").write_text("the baker bakes bread")
    with pytest.raises((InputError, ModelError)):
        Index(models / "index", **options).add([models / "bread.txt"])  # type: ignore[arg-type]
    assert not (models / "index").exists()
