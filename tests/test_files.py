"""A file appears complete or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.files import replacing


def test_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    file = tmp_path / "run"
    file.write_text("old")
    with replacing(file) as unfinished:
        unfinished.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def test_old_file_stays_and_nothing_is_left_if_the_block_raises(tmp_path: Path) -> None:
    file = tmp_path / "run"
    file.write_text("old")

    def fail() -> None:
        with replacing(file) as unfinished:
            unfinished.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert file.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def test_two_writers_do_not_share_a_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "run") as one, replacing(tmp_path / "run") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "run").read_text() == "one"


def test_folder_that_does_not_exist_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "run") as unfinished:
        unfinished.write_text("new")
