"""The table of speeds by shape has a row of each shape and a positive number of each arithmetic."""

from __future__ import annotations

import sys

import pytest
from benchmarks import model_speed
from benchmarks.engines.shapes import deberta, modernbert


def test_each_shape_is_measured_in_each_arithmetic(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {
        "small-modernbert": model_speed._shaped(modernbert, 64, 2, 96, "cls"),
        "small-deberta": model_speed._shaped(deberta, 64, 2, 96),
    }
    monkeypatch.setattr(model_speed, "SHAPES", small)
    monkeypatch.setattr(sys, "argv", ["model_speed", "--pairs", "4"])
    model_speed.main()
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header == "| shape | bfloat16 | int8 |"
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in small]
    for row in rows:
        assert all(float(speed) > 0 for speed in row.strip("| ").split(" | ")[1:])
