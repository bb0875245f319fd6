from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_models import write_reranker

from crossrank.errors import ModelError
from crossrank.families.model import open_model


def test_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"), [("{", "cannot be read"), ("[]", "it holds list"), ("\xff", "cannot be read")]
)
def test_damaged_configuration_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(ModelError, match=rf"config\.json.* {message}"):
        open_model(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl", "tf_model.h5"])
def test_weights_that_could_run_code_are_refused(name: str, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ModelError, match=f"only as {name}, a format that can run code"):
        _ = open_model(folder).weights


def test_folder_without_weights_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"expected model\.safetensors, or an ONNX or OpenVINO file"):
        _ = open_model(folder).weights
