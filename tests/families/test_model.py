from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_models import change_json, write_reranker

from crossrank.families.model import open_model


@pytest.mark.parametrize(
    ("family", "changes", "expected"),
    [
        ("bert", {}, 64),
        ("roberta", {}, 64),
        ("roberta", {"max_position_embeddings": 50}, 48),
        ("bert", {"max_position_embeddings": 50}, 50),
        ("bert", {"max_position_embeddings": None}, 64),
    ],
)
def test_longest_input_fits_the_position_embeddings(
    family: str, changes: dict[str, object], expected: int, tmp_path: Path
) -> None:
    folder = write_reranker(tmp_path / "model", family)
    change_json(folder / "config.json", **changes)
    assert open_model(folder).max_tokens == expected


def test_longest_input_is_512_where_nothing_says_so(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    change_json(folder / "config.json", max_position_embeddings=None)
    change_json(folder / "tokenizer_config.json", model_max_length=int(1e30))
    assert open_model(folder).max_tokens == 512
