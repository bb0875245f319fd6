from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support.tiny_models import change_json, write_reranker

from crossrank.errors import ModelError
from crossrank.models.folder import open_model
from crossrank.models.locate import (
    DEFAULT_BI_ENCODER,
    DEFAULT_CROSS_ENCODER,
    NATIVE_ARCHITECTURES,
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


def test_names_of_families_with_a_graph_are_those_that_have_one() -> None:
    from crossrank.inference.graphs import FAMILIES

    assert frozenset(FAMILIES) == NATIVE_ARCHITECTURES


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
