from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from crossrank.cli.main import main
from crossrank.errors import (
    CrossrankError,
    InputError,
    MissingExtraError,
    MissingFileError,
    MissingModelError,
    UnknownKeywordError,
)
from crossrank.evaluation import load_collection, read_run
from crossrank.models.locate import locate_model
from crossrank.text import load_documents


@pytest.mark.parametrize(
    ("error", "built_in"),
    [
        (InputError("wrong"), ValueError),
        (MissingFileError("not there"), FileNotFoundError),
        (MissingModelError("not there"), FileNotFoundError),
        (UnknownKeywordError("no such keyword"), TypeError),
        (MissingExtraError("A plot", "plot"), ImportError),
    ],
)
def test_each_error_is_the_built_in_one_too_and_pickles(error: CrossrankError, built_in: type) -> None:
    assert isinstance(error, CrossrankError)
    assert isinstance(error, built_in)
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert str(copied) == str(error) != ""


def test_missing_extra_says_what_to_install() -> None:
    assert "pip install 'crossrank[plot]'" in str(MissingExtraError("A plot", "plot"))


def test_what_is_not_there_is_a_file_not_found_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError, match="missing"):
        load_documents([missing])
    for read in (load_collection, read_run):
        with pytest.raises(FileNotFoundError, match="missing"):
            read(missing)
    with pytest.raises(FileNotFoundError, match="no model folder"):
        locate_model(missing)


def test_command_line_still_tells_a_missing_file_and_a_missing_model_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments, code in (
        (["search", "tides", str(tmp_path / "missing")], 2),
        (["check", "./missing"], 3),
    ):
        monkeypatch.setattr("sys.argv", ["crossrank", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
