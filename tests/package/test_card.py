"""The bundled cross-encoder's card has the figures that were measured."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from crossrank.models.locate import DEFAULT_CROSS_ENCODER

ROOT = Path(__file__).parents[2]
CARD = ROOT / "src" / "crossrank" / "models" / "bundled" / DEFAULT_CROSS_ENCODER / "README.md"


def test_tables_are_those_of_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "recipes" / "bundled"))
    figures = json.loads((ROOT / "docs" / "model-figures.json").read_text(encoding="utf-8"))
    collections, gains = importlib.import_module("card").tables(figures)
    assert collections.count("\n") > 20
    assert gains.count("\n") == 5
    card = CARD.read_text(encoding="utf-8")
    assert f"\n\n{collections}\n" in card
    assert f"\n\n{gains}\n" in card
