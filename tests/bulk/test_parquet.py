"""Collections in Parquet."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bulk import TEXTS, RunFiles
from support.collection import RECORDS, Collected

from crossrank.bulk.passages import PassageFile
from crossrank.errors import InputError
from crossrank.inference.bi_encoder import BiEncoder

pytestmark = pytest.mark.ray


def _write(path: Path, **columns: list[object]) -> str:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return str(path)


def test_texts_are_found_in_several_files(tmp_path: Path) -> None:
    names = list(TEXTS)
    _write(tmp_path / "part-0.parquet", _id=names[:10], text=[TEXTS[name] for name in names[:10]])
    _write(tmp_path / "part-1.parquet", _id=names[10:], text=[TEXTS[name] for name in names[10:]])
    found = PassageFile.write(
        tmp_path / "texts", f"{tmp_path}/part-*.parquet", set(names), on_bad_line=pytest.fail
    )
    assert {name: one.text for name, one in found.documents(names).items()} == TEXTS


def test_numbers_are_ids_and_titles_are_kept(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.parquet", id=[1, 2], text=["Bees dance.", "Tides."], title=["Bees", None])
    found = PassageFile.write(tmp_path / "texts", file, {"1", "2"}, on_bad_line=pytest.fail).documents(
        ["1", "2"]
    )
    assert (found["1"].title, found["2"].title) == ("Bees", "")


def test_what_is_no_text_has_its_row(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.parquet", id=["1", "2"], text=["Bees dance.", None])
    errors: list[str] = []
    PassageFile.write(tmp_path / "texts", file, {"1"}, on_bad_line=lambda error: errors.append(str(error)))
    assert errors == [f"{file}: row 2: the id and 'text' must be strings"]


def test_other_columns_and_other_files_are_refused(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.parquet", key=["1"], body=["Bees dance."])
    with pytest.raises(InputError, match="it has body, key"):
        PassageFile.write(tmp_path / "texts", file, {"1"}, on_bad_line=pytest.fail)
    (tmp_path / "b.parquet").write_text("no Parquet")
    with pytest.raises(InputError, match=r"b\.parquet cannot be read"):
        PassageFile.write(tmp_path / "texts", f"{tmp_path}/b.parquet", {"1"}, on_bad_line=pytest.fail)


def test_a_run_over_parquet(tmp_path: Path, tiny_folder: str) -> None:
    files = RunFiles.write(tmp_path)
    expected = files.rerank(tiny_folder)
    files.collection = _write(tmp_path / "a.parquet", _id=list(TEXTS), text=list(TEXTS.values()))
    assert files.rerank(tiny_folder) == expected


def test_an_index_of_parquet(tmp_path: Path, tiny_embedder: BiEncoder) -> None:
    collected = Collected.write(tmp_path, tiny_embedder)
    columns = {name: [record[name] for record in RECORDS] for name in ("_id", "title", "text")}
    years = [record["metadata"]["year"] for record in RECORDS]
    file = _write(tmp_path / "part-0.parquet", **columns, year=years, vector=[[0.5]] * len(RECORDS))
    assert collected.add(file).documents == len(RECORDS)
    mine, plain = (
        index.retrieve("why bread rises", 5) for index in (collected.opened(), collected.expected())
    )
    assert [one.document.text for one in mine] == [one.document.text for one in plain]
    assert [one.score for one in mine] == [one.score for one in plain]
    assert set(mine[0].document.metadata) == {"source", "year", "file", "start", "end"}
