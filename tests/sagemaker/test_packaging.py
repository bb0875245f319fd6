from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from support.tiny_models import write_embedder, write_reranker

from crossrank import __version__
from crossrank.errors import InputError, ModelError
from crossrank.families.model import Model
from crossrank.sagemaker.packaging import package_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_reranker(tmp_path_factory.mktemp("models") / "reranker")
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    (folder / "README.md").write_text("A model.")
    return folder


def test_an_archive_has_the_documented_layout_and_no_pickle(model: Path, tmp_path: Path) -> None:
    made = package_model(model, tmp_path / "model.tar.gz")
    with tarfile.open(made.path) as archive:
        members = archive.getmembers()
        requirements = archive.extractfile("code/requirements.txt").read().decode()  # type: ignore[union-attr]
    assert [member.name for member in members] == list(made.files) == [
        "README.md",
        "code/inference.py",
        "code/requirements.txt",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip
    assert {(member.mtime, member.uid, member.uname, member.mode) for member in members} == {
        (0, 0, "", 0o644)
    }
    lines = requirements.splitlines()
    assert lines[0] == f"crossrank=={__version__}"
    assert any(line.startswith("openvino==") for line in lines)
    assert all("==" in line or line.startswith("sagemaker-inference>=") for line in lines)
    assert made.size == made.path.stat().st_size
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()


def test_the_same_model_gives_the_same_bytes_whenever_and_whatever_it_is_called(
    model: Path, tmp_path: Path
) -> None:
    first = package_model(model, tmp_path / "one.tar.gz")
    for file in model.iterdir():
        os.utime(file, (time.time() + 5000,) * 2)
    second = package_model(model, tmp_path / "another.tar.gz")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_an_archive_that_lacks_a_file_is_not_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Model.needed_files
    monkeypatch.setattr(
        Model,
        "needed_files",
        lambda folder: {name: file for name, file in kept(folder).items() if name != "tokenizer.json"},
    )
    with pytest.raises(ModelError, match=r"the archive does not serve: .*tokenizer.json"):
        package_model(model, tmp_path / "model.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_name_in_the_environment_does_not_stand_in_for_missing_weights(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_MODEL_ID", str(model))
    kept = Model.needed_files
    monkeypatch.setattr(
        Model,
        "needed_files",
        lambda folder: {name: file for name, file in kept(folder).items() if name != "config.json"},
    )
    with pytest.raises(ModelError, match="the archive does not serve"):
        package_model(model, tmp_path / "model.tar.gz")
    assert os.environ["HF_MODEL_ID"] == str(model)


def test_an_archive_that_scores_otherwise_is_not_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Model.needed_files
    other = write_reranker(tmp_path / "other", "bert")
    from safetensors.numpy import load_file
    from support.tiny_models import save

    save(other, {name: values * 1.01 for name, values in load_file(other / "model.safetensors").items()})
    monkeypatch.setattr(
        Model,
        "needed_files",
        lambda folder: {**kept(folder), "model.safetensors": other / "model.safetensors"},
    )
    with pytest.raises(ModelError, match="the archive scores otherwise"):
        package_model(model, tmp_path / "model.tar.gz")
    assert [file.name for file in tmp_path.iterdir()] == ["other"]


def test_an_embedder_is_no_cross_encoder(tmp_path: Path) -> None:
    embedder = write_embedder(tmp_path / "embedder")
    with pytest.raises(ModelError, match="no classification head"):
        package_model(embedder, tmp_path / "model.tar.gz")
    assert [file.name for file in tmp_path.iterdir()] == ["embedder"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.zip", r"\.tar\.gz"),
        ("folder.tar.gz", "is no file"),
        ("missing/model.tar.gz", "there is no folder"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_first(name: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "folder.tar.gz").mkdir()
    with pytest.raises(InputError, match=expected):
        package_model("no/such-model", tmp_path / name)


def crossrank(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crossrank", "sagemaker", "package", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_the_command_says_what_it_made(model: Path, tmp_path: Path) -> None:
    process = crossrank(model, "-o", tmp_path / "model.tar.gz", "--json")
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    assert report["bytes"] == (tmp_path / "model.tar.gz").stat().st_size
    assert "code/inference.py" in report["files"]


@pytest.mark.parametrize("limit", [1000, 50_000])
def test_a_full_disk_is_one_line_and_leaves_an_older_archive_alone(
    limit: int, model: Path, tmp_path: Path
) -> None:
    older = tmp_path / "model.tar.gz"
    older.write_bytes(b"older")
    process = crossrank(
        model, "-o", older, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert process.returncode == 4
    assert process.stdout == ""
    assert len(process.stderr.splitlines()) == 1, process.stderr
    assert "error: " in process.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["model.tar.gz"]
    assert older.read_bytes() == b"older"


def test_a_disk_that_is_full_when_the_archive_is_unpacked_leaves_nothing(model: Path, tmp_path: Path) -> None:
    made = package_model(model, tmp_path / "model.tar.gz")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    largest = max(file.stat().st_size for file in model.iterdir())
    limit = (made.size + largest) // 2
    assert made.size < limit < largest, "the archive fits, what it holds does not"
    process = crossrank(
        model, "-o", tmp_path / "again.tar.gz",
        env={**os.environ, "TMPDIR": str(temporary)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert process.returncode == 4
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.tar.gz", "temporary"]
    assert list(temporary.iterdir()) == []


@pytest.mark.sagemaker
@pytest.mark.timeout(600)
def test_its_requirements_install_and_its_handlers_run_in_a_clean_environment(
    model: Path, tmp_path: Path
) -> None:
    made = package_model(model, tmp_path / "model.tar.gz")
    with tarfile.open(made.path) as archive:
        archive.extractall(tmp_path / "model", filter="data")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    # This crossrank comes from here, as it would from a private index; everything else from the usual one.
    wheel = [*pip, "wheel", "-q", "--no-deps", "--wheel-dir", str(tmp_path / "wheels"), str(ROOT)]
    subprocess.run(wheel, check=True, capture_output=True)
    install = [*pip, "install", "-q", "--no-compile", "--find-links", str(tmp_path / "wheels")]
    subprocess.run(
        [*install, "-r", str(tmp_path / "model" / "code" / "requirements.txt")],
        check=True,
        capture_output=True,
    )
    code = """
import sys
from inference import model_fn, transform_fn
from sagemaker_inference.errors import BaseInferenceToolkitError
model = model_fn(sys.argv[1])
try:
    transform_fn(model, "{}", "application/json", "*/*")
except BaseInferenceToolkitError as error:
    print(error.status_code)
"""
    done = subprocess.run(
        [python, "-c", code, str(tmp_path / "model")],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "model" / "code")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "400", done.stderr


def test_model_that_runs_in_pytorch_alone_is_refused_whether_or_not_it_is_here(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", config={"model_type": "albert"})
    with pytest.raises(ModelError, match=r"albert model; without an ONNX file .* crossrank runs bert"):
        package_model(folder, tmp_path / "model.tar.gz")
    assert not (tmp_path / "model.tar.gz").exists()
