from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support.tiny_models import write_reranker

from crossrank.errors import ModelError
from crossrank.families.model import open_model
from crossrank.models.locate import (
    DEFAULT_BI_ENCODER,
    DEFAULT_CROSS_ENCODER,
    bundled_models,
    locate_model,
)


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to reach the network from this process; there should be none."""
    attempts: list[object] = []
    connect = socket.socket.connect

    def record(self: socket.socket, address: object) -> None:
        attempts.append(address)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", record)
    return attempts


def test_bundled_models_are_found_by_name(sockets: list[object]) -> None:
    assert bundled_models() == tuple(sorted([DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER]))
    for name in bundled_models():
        assert (locate_model(name) / "model.safetensors").is_file()
    assert sockets == []


def test_bundled_name_wins_over_a_folder_unless_it_is_written_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_reranker(tmp_path / DEFAULT_CROSS_ENCODER)
    assert locate_model(DEFAULT_CROSS_ENCODER).resolve() != folder.resolve()
    assert locate_model(f"./{DEFAULT_CROSS_ENCODER}").resolve() == folder.resolve()
    assert locate_model(Path(DEFAULT_CROSS_ENCODER)).resolve() == folder.resolve()


def test_folder_is_found_by_text_path_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_reranker(tmp_path / "some" / "model")
    assert locate_model(folder) == locate_model(str(folder)) == folder
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate_model("~/some/model") == folder
    monkeypatch.chdir(tmp_path)
    assert locate_model("some/model").resolve() == folder


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".hidden", "./missing", "../missing", "/missing/model", "~/missing", "~nobody-at-all/x"),
        *("a/b/c", "a/..", "../../etc/passwd", "owner/..name", "owner/a--b", "owner\\model", "owner/na me"),
        *("owner/", "/", "a\0b", "x" * 5000, "https://huggingface.co/owner/model", "owner/model@main"),
    ],
)
def test_name_that_can_be_no_model_is_refused_without_the_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sockets: list[object]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as refused:
        open_model(name)
    assert sockets == []
    assert "no model" in str(refused.value) or "no config.json" in str(refused.value)


def test_file_is_refused_where_a_folder_belongs(tmp_path: Path) -> None:
    file = write_reranker(tmp_path / "model") / "model.safetensors"
    with pytest.raises(ModelError, match="is a file; a model is a folder"):
        locate_model(file)


@pytest.mark.parametrize("variable", ["CROSSRANK_OFFLINE", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_offline_opens_no_socket(
    variable: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sockets: list[object],
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ModelError, match=r"not in the local cache.*CROSSRANK_OFFLINE.*all-MiniLM-L6-v2"):
        locate_model("nobody-has/this-model")
    assert sockets == []
