"""golden.json is what transformers gives today."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.modern_models import MODERN
from support.tiny_models import FAMILIES

GOLDEN = Path(__file__).parents[1] / "golden"

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def today() -> dict[str, Any]:
    written: dict[str, Any] = runpy.run_path(str(GOLDEN / "make_golden.py"))["golden"]()
    return written


@pytest.mark.parametrize("family", [*FAMILIES, *MODERN])
def test_golden_numbers_are_current(family: str, today: dict[str, Any]) -> None:
    stored = json.loads((GOLDEN / "golden.json").read_text())[family]
    np.testing.assert_allclose(stored["logits"], today[family]["logits"], atol=1e-5)
    assert set(stored["vectors"]) == set(today[family]["vectors"])
    for pooling, vectors in stored["vectors"].items():
        np.testing.assert_allclose(vectors, today[family]["vectors"][pooling], atol=2e-5)
