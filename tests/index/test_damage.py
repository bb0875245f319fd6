"""Rows that crossrank did not write, and vectors that are no longer what was written."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.commands import crossrank, one_line
from support.index_state import answers, contents

from crossrank.errors import InputError
from crossrank.index import Index, vectors
from crossrank.inference.bi_encoder import BiEncoder

VALUES = ["NULL", "'x'", "'[1]'", "x'00ff'", "-1", "99999999999", "CAST(x'ff' AS TEXT)"]
COLUMNS = [
    "setting.value", "source.path", "source.include", "source.exclude", "source.device", "removed.path",
    "file.path", "file.size", "file.modified_ns", "file.read_ns", "file.digest", "file.problem",
    "found.source", "found.file", "document.file", "document.name", "document.title", "document.metadata",
    "passage.document", "passage.number", "passage.text", "passage.start", "passage.end",
    "vector.digest", "vector.value", "vector.checksum",
]  # fmt: skip
TABLES = ["setting", "source", "removed", "file", "found", "document", "passage", "vector", "words"]


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also few vectors are written to a FAISS file."""
    monkeypatch.setattr(vectors, "_STALE_FEW", 4)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.txt").write_text(f"bees {number} find flowers by night. " * (number + 1))
    return folder


@pytest.fixture
def built(tiny_embedder: BiEncoder, files: Path, tmp_path: Path) -> Path:
    index = Index(tmp_path / "index", embedder=tiny_embedder)
    index.add([files])
    index.rm([files / "0.txt"])
    return tmp_path / "index"


def change(folder: Path, statement: str) -> bool:
    """Whether a statement could be carried out."""
    with closing(sqlite3.connect(folder / "index.sqlite", isolation_level=None)) as database:
        try:
            database.execute(statement)
        except sqlite3.IntegrityError:
            return False
    return True


def calls(folder: Path, embedder: BiEncoder, files: Path) -> dict[str, Callable[[], object]]:
    def index() -> Index:
        return Index(folder, embedder=embedder)

    return {
        "ls": lambda: index().ls(),
        "info": lambda: index().info(),
        "retrieve": lambda: [
            index().retrieve("bees flowers", 5, retrieval=r) for r in ("lexical", "dense", "hybrid")
        ],
        "retrieve with a filter": lambda: index().retrieve("bees flowers", 5, filters="source!=x"),
        "rm": lambda: index().rm([files / "1.txt"]),
        "rebuild": lambda: index().rebuild(),
        "add": lambda: index().add(),
        "add again": lambda: index().add([files]),
    }


def check_every_call(built: Path, statement: str, embedder: BiEncoder, files: Path, tmp_path: Path) -> None:
    """Every call on a copy that was changed does its work, or says that the index is damaged."""
    folder = tmp_path / "changed"
    for name in calls(built, embedder, files):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(built, folder)
        if not change(folder, statement):
            return
        try:
            calls(folder, embedder, files)[name]()
        except InputError as problem:
            # Of another embedder, or called otherwise; or the files to remove are not known any more.
            told = ("is damaged", "embedding model", "holds nothing at")
            assert any(words in str(problem) for words in told), problem  # noqa: PT017


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_any_kind_is_told_or_does_no_harm(
    column: str, value: str, built: Path, tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    table, name = column.split(".")
    check_every_call(built, f"UPDATE {table} SET {name} = {value}", tiny_embedder, files, tmp_path)


@pytest.mark.parametrize("table", TABLES)
def test_rows_that_are_missing_are_told_or_do_no_harm(
    table: str, built: Path, tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    statement = (
        f"DELETE FROM {table}" if table != "words" else "INSERT INTO words (words) VALUES ('delete-all')"
    )
    check_every_call(built, statement, tiny_embedder, files, tmp_path)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE document SET metadata = '{' WHERE id = 3",
            "1 rows of document are not as they were written",
        ),
        ("UPDATE passage SET document = 77 WHERE id = 3", "row 3 of passage belongs to no document"),
        ("DELETE FROM vector WHERE passage = 3", "1 rows of passage are not as they were written"),
        ("DELETE FROM setting WHERE name = 'dimension'", "the setting dimension is missing"),
        (
            "UPDATE setting SET value = 'many' WHERE name = 'chunk_size'",
            "1 rows of setting are not as they were",
        ),
    ],
)
def test_info_names_the_rows_that_are_damaged(
    statement: str, said: str, built: Path, tiny_embedder: BiEncoder
) -> None:
    assert change(built, statement)
    with pytest.raises(InputError, match=said):
        Index(built, embedder=tiny_embedder).info()
    process = crossrank("index", "info", built)
    assert process.returncode == 2
    assert said in one_line(process)


ALTERED = "UPDATE vector SET value = zeroblob(length(value)) WHERE passage IN (2, 5)"


def test_altered_vectors_are_not_searched(built: Path, tiny_embedder: BiEncoder) -> None:
    assert change(built, ALTERED)
    index = Index(built, embedder=tiny_embedder)
    for retrieval in ("dense", "hybrid"):
        with pytest.raises(
            InputError, match=r"2 vectors are not as they were written.*crossrank index rebuild"
        ):
            index.retrieve("bees", 5, retrieval=retrieval)  # type: ignore[arg-type]
    assert index.retrieve("bees", 5, retrieval="lexical")


def test_a_single_bit_of_a_vector_is_found_in_the_file_itself(built: Path, tiny_embedder: BiEncoder) -> None:
    with closing(sqlite3.connect(built / "index.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (value,) = database.execute("SELECT value FROM vector WHERE passage = 4").fetchone()
    content = bytearray((built / "index.sqlite").read_bytes())
    content[content.index(value[:64])] ^= 1
    (built / "index.sqlite").write_bytes(content)
    assert Index(built, embedder=tiny_embedder).info().damaged > 0


def test_rebuild_mends_altered_vectors_and_says_how_many(
    built: Path, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    expected = contents(built), answers(built, tiny_embedder)
    assert change(built, ALTERED)
    index = Index(built, embedder=tiny_embedder)
    info = index.info()
    assert (info.damaged, info.vector_search, info.recall) == (2, "damaged", None)
    assert index.rebuild() == 2
    assert (index.info().damaged, index.info().recall) == (0, 1.0)
    assert (contents(built), answers(built, tiny_embedder)) == expected
    assert index.rebuild() == 0


def test_an_altered_vector_is_not_taken_for_the_same_words_elsewhere(
    built: Path, tiny_embedder: BiEncoder, files: Path
) -> None:
    assert change(built, "UPDATE vector SET value = zeroblob(length(value))")
    (files / "copy.txt").write_text((files / "3.txt").read_text())
    index = Index(built, embedder=tiny_embedder)
    with pytest.raises(InputError, match="crossrank index rebuild"):
        index.add([files])
    with closing(sqlite3.connect(built / "index.sqlite")) as database:
        last = "SELECT value FROM vector ORDER BY passage DESC LIMIT 1"
        assert database.execute(last).fetchone()[0].strip(b"\0")


@pytest.mark.usefixtures("small_files")
def test_altered_vectors_are_found_also_where_the_faiss_file_is_good(
    tiny_embedder: BiEncoder, files: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "with a file"
    index = Index(folder, embedder=tiny_embedder)
    index.add([files])
    assert list(folder.glob("*.faiss"))
    assert change(folder, ALTERED)
    assert Index(folder, embedder=tiny_embedder).info().damaged == 2


def test_on_the_command_line_info_says_what_is_damaged_and_rebuild_mends_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Bakers bake bread.")
    folder = tmp_path / "my index"
    crossrank("index", "add", folder, tmp_path / "a.txt")
    assert change(folder, "UPDATE vector SET value = zeroblob(length(value))")
    search = crossrank("search", "bread", "--index", folder)
    assert search.returncode == 2
    assert f"crossrank index rebuild '{folder}'" in one_line(search)
    info = crossrank("index", "info", folder, "--json")
    assert json.loads(info.stdout)["damaged"] == 1
    assert f"crossrank index rebuild '{folder}'" in one_line(info)
    assert (
        "1 vectors that were not as they had been written are mended"
        in crossrank("index", "rebuild", folder).stdout
    )
    assert crossrank("search", "bread", "--index", folder).returncode == 0
