from __future__ import annotations

import ast
import gc
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.index_state import answers, contents

import crossrank
from crossrank.errors import InputError
from crossrank.index import Index, vectors
from crossrank.index.store import FORMAT
from crossrank.inference.bi_encoder import BiEncoder


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_STALE_FEW", 4)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(12):
        text = f"bees {number} find flowers by night. " * (number + 1)
        (folder / f"{number}.txt").write_text(text)
    return folder


@pytest.fixture
def built(tiny_embedder: BiEncoder, files: Path, tmp_path: Path) -> Path:
    Index(tmp_path / "index", embedder=tiny_embedder).add([files])
    return tmp_path / "index"


def every_call(folder: Path, embedder: BiEncoder, files: Path) -> dict[str, Callable[[], object]]:
    def index() -> Index:
        return Index(folder, embedder=embedder)

    return {
        "ls": lambda: index().ls(),
        "info": lambda: index().info(),
        "retrieve by words": lambda: index().retrieve("bees", 5, retrieval="lexical"),
        "retrieve": lambda: index().retrieve("bees", 5),
        "add": lambda: index().add([files]),
        "rm": lambda: index().rm([files]),
        "rebuild": lambda: index().rebuild(),
    }


CALLS = ["ls", "info", "retrieve by words", "retrieve", "add", "rm", "rebuild"]


def change(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "index.sqlite", isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


@pytest.mark.parametrize("call", CALLS)
def test_an_index_of_a_newer_format_is_left_alone(
    call: str, built: Path, tiny_embedder: BiEncoder, files: Path
) -> None:
    change(built, f"PRAGMA user_version = {FORMAT + 1}")
    before = (built / "index.sqlite").read_bytes()
    with pytest.raises(InputError, match=f"format {FORMAT + 1}.*reads format {FORMAT}.*update crossrank"):
        every_call(built, tiny_embedder, files)[call]()
    assert (built / "index.sqlite").read_bytes() == before


@pytest.mark.parametrize("call", CALLS)
def test_another_programs_file_is_left_alone(
    call: str, tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    change(folder, "CREATE TABLE photo (name TEXT)", "INSERT INTO photo VALUES ('sunset')")
    before = (folder / "index.sqlite").read_bytes()
    with pytest.raises(InputError, match="was not made by crossrank"):
        every_call(folder, tiny_embedder, files)[call]()
    assert (folder / "index.sqlite").read_bytes() == before


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("content", [b"", b"This is no database, but a letter. " * 500])
def test_what_is_no_database_is_said_to_be_none(
    content: bytes, call: str, built: Path, tiny_embedder: BiEncoder, files: Path
) -> None:
    (built / "index.sqlite").write_bytes(content)
    with pytest.raises(InputError, match=r"index\.sqlite (is damaged|was not made by crossrank)"):
        every_call(built, tiny_embedder, files)[call]()


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_told(kept: float, built: Path, tiny_embedder: BiEncoder, files: Path) -> None:
    content = (built / "index.sqlite").read_bytes()
    (built / "index.sqlite").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"is damaged .*remove the folder and make the index again"):
        every_call(built, tiny_embedder, files)["retrieve"]()


def test_damage_anywhere_is_told_or_does_no_harm(
    built: Path, tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    content = (built / "index.sqlite").read_bytes()
    chance = random.Random(5)
    told = 0
    for number in range(30):
        damaged = bytearray(content)
        start = chance.randrange(len(content) // 4096) * 4096
        damage = (bytes(4096), chance.randbytes(4096), b"\xff" * 64)[number % 3]
        damaged[start : start + len(damage)] = damage
        folder = tmp_path / f"damaged-{number}"
        folder.mkdir()
        (folder / "index.sqlite").write_bytes(damaged)
        for call in every_call(folder, tiny_embedder, files).values():
            try:
                call()
            except InputError as problem:
                assert str(folder) in str(problem)  # noqa: PT017
                told += 1
    assert told > 30


def test_text_that_is_no_text_is_damage(built: Path, tiny_embedder: BiEncoder, files: Path) -> None:
    change(built, "UPDATE passage SET text = CAST(x'ff20fe' AS TEXT)")
    with pytest.raises(InputError, match="is damaged"):
        every_call(built, tiny_embedder, files)["retrieve"]()


def test_a_folder_with_other_things_does_not_become_an_index(tiny_embedder: BiEncoder, files: Path) -> None:
    before = sorted(files.iterdir())
    with pytest.raises(InputError, match="is no index and not empty; name a new folder"):
        Index(files, embedder=tiny_embedder).add([files])
    assert sorted(files.iterdir()) == before
    with pytest.raises(InputError, match="is no index and not empty"):
        Index(before[0], embedder=tiny_embedder).add([files])


@pytest.mark.parametrize("call", CALLS)
def test_without_an_index_it_is_said_how_to_make_one(
    call: str, tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "nowhere"
    calls = every_call(folder, tiny_embedder, files) | {"add": Index(folder, embedder=tiny_embedder).add}
    with pytest.raises(InputError, match=r"there is no index at .*nowhere; (make one: crossrank|name the)"):
        calls[call]()
    assert not folder.exists()


def test_an_index_made_anew_in_its_place_is_the_one_that_is_searched(
    built: Path, tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    index = Index(built, embedder=tiny_embedder)
    answers(index, tiny_embedder)
    shutil.rmtree(built)
    with pytest.raises(InputError, match="there is no index"):
        index.ls()
    for file in files.iterdir():
        file.write_text(file.read_text().replace("bees", "families"))
    index.add([files])
    fresh = tmp_path / "fresh"
    Index(fresh, embedder=tiny_embedder).add([files])
    assert answers(index, tiny_embedder) == answers(fresh, tiny_embedder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\x80\x04\x95garbage" * 1000,
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"more",
        lambda content: content[:60] + b"\xff" * 8 + content[68:],
        lambda content: content[: len(content) // 2] + bytes(64) + content[len(content) // 2 + 64 :],
    ],
    ids=["empty", "garbage", "half", "cut", "longer", "header", "zeros"],
)
def test_a_damaged_vectors_file_is_passed_over_and_written_anew(
    damage: Callable[[bytes], bytes], built: Path, tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    expected = answers(built, tiny_embedder)
    gc.collect()
    [file] = built.glob("*.faiss")
    file.write_bytes(damage(file.read_bytes()))
    assert answers(built, tiny_embedder) == expected
    assert Index(built).info().pending == Index(built).info().passages
    Index(built, embedder=tiny_embedder).add([files])
    info = Index(built).info()
    assert (info.pending, info.tombstones) == (0, 0)
    assert answers(built, tiny_embedder) == expected


def test_another_indexs_vectors_are_not_taken(
    built: Path, tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    expected = answers(built, tiny_embedder)
    for file in files.iterdir():
        file.write_text(file.read_text().replace("bees", "families"))
    Index(tmp_path / "other", embedder=tiny_embedder).add([files])
    [own], [other] = built.glob("*.faiss"), (tmp_path / "other").glob("*.faiss")
    own.unlink()
    shutil.copy(other, built)
    assert answers(built, tiny_embedder) == expected


@pytest.mark.parametrize("exact_up_to", [100_000, 4])
def test_passages_that_are_gone_are_not_found_once_the_vectors_file_is_up_to_date(
    exact_up_to: int,
    built: Path,
    tiny_embedder: BiEncoder,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vectors, "EXACT_UP_TO", exact_up_to)
    index = Index(built, embedder=tiny_embedder)
    index.add([files])
    kept = index.info().passages
    (files / "0.txt").unlink()
    for number in range(20, 30):
        (files / f"{number}.txt").write_text(f"the baker bakes bread {number} times.")
    index.add([files])
    assert index.info().vector_search == ("HNSW" if exact_up_to == 4 else "exact")
    assert index.info().passages == kept + 9
    fresh = Index(tmp_path / "fresh", embedder=tiny_embedder)
    fresh.add([files])
    for found in (index, Index(built, embedder=tiny_embedder)):
        hits = found.retrieve("bees", 100, retrieval="dense")
        assert hits == fresh.retrieve("bees", 100, retrieval="dense")


def test_nothing_is_unpickled() -> None:
    package = Path(crossrank.__file__).parent
    for file in package.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            used = {name.partition(".")[0] for name in names}
            assert not used & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, (
                file
            )
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant), file
                assert node.value.value is False, file


def test_what_the_index_keeps_is_what_sqlite_and_json_read(built: Path) -> None:
    """Nothing but SQLite's file, FAISS's and a lock: whoever has SQLite can read it."""
    assert contents(built)
    with closing(sqlite3.connect(built / "index.sqlite")) as database:
        for (metadata,) in database.execute("SELECT metadata FROM document"):
            assert Path(json.loads(metadata)["source"]).exists()
        [(value,)] = database.execute("SELECT value FROM vector LIMIT 1").fetchall()
        assert np.isfinite(np.frombuffer(value, "<f4")).all()
    names = {path.name for path in built.iterdir()} - {"index.sqlite-wal", "index.sqlite-shm"}
    assert {name for name in names if not name.endswith(".faiss")} == {"index.sqlite", "writer.lock"}
