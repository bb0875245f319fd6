from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.index import Index
from crossrank.inference.bi_encoder import BiEncoder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a text and a Markdown file, by its one name."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "bees.txt").write_text("Bees find flowers by day.")
    (folder / "bread.md").write_text("---\ntitle: Bakers\nyear: 2021\n---\nThe baker bakes bread at night.")
    return folder.resolve()


@pytest.fixture
def index(tmp_path: Path, tiny_embedder: BiEncoder) -> Index:
    """An index that is still to be made."""
    return Index(tmp_path / "index", embedder=tiny_embedder)
