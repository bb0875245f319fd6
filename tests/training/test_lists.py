"""Lists are written with the datasets library, which comes with PyTorch's."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.inference.bi_encoder import BiEncoder
from crossrank.training.lists import load_lists, prepare_lists
from crossrank.training.mining import Miner
from crossrank.training.settings import JudgedData, TrainingSettings

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("default")]


@pytest.fixture
def settings(judged: Path) -> TrainingSettings:
    return TrainingSettings(data=(JudgedData(judged),), passes=1, validation=4)


def test_lists_that_were_written_are_those_that_were_mined(
    settings: TrainingSettings, embedder: BiEncoder, tmp_path: Path
) -> None:
    prepare_lists(tmp_path / "lists", settings, embedder, lambda *_: None)
    lists, validation = load_lists(tmp_path / "lists")
    miner = Miner(settings, embedder, lambda *_: None)
    mined = list(miner.lists())
    assert lists["query"][:] == [item.query for item in mined]
    assert [tuple(row) for row in lists["documents"]] == [item.documents for item in mined]
    assert lists.column_names == ["query", "documents", "evidence", "relevant", "labels"]
    assert validation == miner.validation
    assert [file.name for file in tmp_path.iterdir()] == ["lists"]


def test_lists_that_were_interrupted_are_not_taken_for_whole(
    settings: TrainingSettings, embedder: BiEncoder, tmp_path: Path
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_lists(tmp_path / "lists", settings, embedder, stop)
    assert not (tmp_path / "lists").exists()
    prepare_lists(tmp_path / "lists", settings, embedder, lambda *_: None)
    assert (tmp_path / "lists").is_dir()
