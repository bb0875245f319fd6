"""The benchmark of growth measures indexes and rankings that exist, and fits what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.growth.__main__ import by_passages, growth, show
from benchmarks.growth.generated import texts, write_embedder, write_passages

from crossrank import Index


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_growth_is_the_power_of_the_size(power: float) -> None:
    sizes = [10, 100, 1000]
    assert growth(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_generated_texts_are_the_same_every_time_and_near_those_of_their_topic(tmp_path: Path) -> None:
    assert list(texts(20)) == list(texts(20))
    assert not set(texts(20)) & set(texts(20, seed=2))
    write_passages(tmp_path / "passages", 300)
    write_embedder(tmp_path / "embedder")
    index = Index(tmp_path / "index", embedder=str(tmp_path / "embedder"))
    assert index.add([tmp_path / "passages"]).passages == 300
    text = list(texts(300))[123]
    assert index.retrieve(text, 1)[0].document.text == text


def test_an_index_is_made_asked_and_repaired(capsys: pytest.CaptureFixture[str]) -> None:
    [row] = by_passages(1000)
    assert row["passages"] == 1000
    assert row["recall"] == 1
    assert min(row["make_seconds"], row["hybrid_ms"], row["repair_seconds"], row["bytes"]) > 0
    show("passages", [row, row | {"passages": 10_000}])
    assert "| growth |" in capsys.readouterr().out
