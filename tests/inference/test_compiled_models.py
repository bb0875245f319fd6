"""Compiled models are read from the cache folder, give the same scores, and are never anybody else's."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.processes import run_python

from crossrank import CrossEncoder, families
from crossrank.families.model import Model, open_model
from crossrank.inference import compiled_models
from crossrank.inference.arithmetic import Precision
from crossrank.inference.chains import scoring_chain
from crossrank.inference.compiled_models import CompiledModel, compiled_model
from crossrank.inference.task import Task
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

PAIRS = [
    ("how do bees find flowers", "Bees follow scent and colour, and tell each other the way by dancing."),
    ("how do bees find flowers", "The night train leaves at ten."),
    ("tides", " ".join(["The moon pulls at the sea."] * 60)),
    ("", "x"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


def path_of(name: str | Path = DEFAULT_CROSS_ENCODER, **settings: object) -> Path | None:
    model = open_model(name)
    kept = compiled_model(model, scoring_chain(model), settings)
    return None if kept is None else kept.path


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose graphs are built, in order."""
    built: list[str] = []
    build = Task.build

    def noting(task: Task, model: Model, **options: object) -> object:
        built.append(model.name)
        return build(task, model, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Task, "build", noting)
    return built


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16", "int8"])
def test_scores_of_a_model_that_was_read_are_bit_for_bit_those_of_the_compiled_one(
    precision: Precision, folder: Path, builds: list[str]
) -> None:
    try:
        compiled = CrossEncoder(precision=precision)
    except ValueError:
        assert precision != "auto"  # this processor does not have it
        return
    assert builds
    builds.clear()
    read = CrossEncoder(precision=precision)
    assert not builds
    assert str(read.precision) == str(compiled.precision)
    np.testing.assert_array_equal(read.predict(PAIRS), compiled.predict(PAIRS))
    np.testing.assert_array_equal(read.predict(PAIRS[:1]), compiled.predict(PAIRS)[:1])


def test_threads_and_precisions_have_files_of_their_own() -> None:
    settings = [{"threads": 1}, {"threads": 2}, {"threads": 1, "products": "int8"}]
    assert len({path_of(**each) for each in settings}) == 3


def test_an_edited_model_has_another_file(float_reranker: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(float_reranker, tmp_path / "model"))
    before = path_of(model)
    assert path_of(model) == before
    weights, config = model / "model.safetensors", model / "config.json"
    with weights.open("r+b") as file:  # a byte of a large matrix, between those that are looked at
        file.seek(weights.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    edited = path_of(model)
    assert edited != before
    config.write_text(config.read_text(encoding="utf-8").replace('"gelu"', '"relu"'), encoding="utf-8")
    assert path_of(model) not in {before, edited}


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def end_well(file: Path) -> None:
    content = b"no compiled model at all" * 100
    file.write_bytes(content + zlib.crc32(content).to_bytes(4, "little"))


@pytest.mark.parametrize("damage", [truncate, flip, end_well, lambda file: file.write_bytes(b"")])
def test_damaged_file_costs_the_compilation_and_is_replaced(
    damage: Callable[[Path], object], folder: Path, builds: list[str]
) -> None:
    expected = CrossEncoder().predict(PAIRS)
    [file] = folder.iterdir()
    whole = file.stat().st_size
    damage(file)
    builds.clear()
    np.testing.assert_array_equal(CrossEncoder().predict(PAIRS), expected)
    assert builds
    assert file.stat().st_size == whole


def test_cache_folder_that_cannot_be_written_costs_the_compilation(
    tmp_path: Path, folder: Path, builds: list[str]
) -> None:
    folder.parent.write_text("a file where the folder should be", encoding="utf-8")
    for _ in range(2):
        builds.clear()
        CrossEncoder()
        assert builds


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_what_others_could_have_written_is_not_read(folder: Path, builds: list[str]) -> None:
    CrossEncoder()
    [file] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    kept = CompiledModel(file.stem)
    assert kept.read() is not None
    for path, mode in ((folder, 0o770), (folder, 0o702), (file, 0o620), (file, 0o602)):
        usual = path.stat().st_mode
        path.chmod(mode)
        assert kept.read() is None
        path.chmod(usual)
    assert kept.read() is not None
    moved = folder.parent / "elsewhere.blob"
    file.rename(moved)
    file.symlink_to(moved)
    assert kept.read() is None


@pytest.mark.skipif(sys.platform == "win32", reason="no such owners")
def test_file_of_another_user_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CrossEncoder()
    [file] = folder.iterdir()
    assert CompiledModel(file.stem).read() is not None
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert CompiledModel(file.stem).read() is None


class Exported:
    """Stands for a compiled model of a size."""

    def __init__(self, size: int) -> None:
        self.size = size

    def export_model(self) -> object:
        return io.BytesIO(bytes(self.size))


def test_files_that_were_not_used_for_longest_make_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_models, "_ROOM", 3500)
    for number, name in enumerate(("first", "second", "third")):
        CompiledModel(name).write(Exported(1000))  # type: ignore[arg-type]
        os.utime(folder / f"{name}.blob", (number, number))
    assert CompiledModel("first").read() is not None  # now it is the one used last
    CompiledModel("fourth").write(Exported(1000))  # type: ignore[arg-type]
    assert {file.stem for file in folder.iterdir()} == {"first", "third", "fourth"}
    CompiledModel("large").write(Exported(3000))  # type: ignore[arg-type]
    assert {file.stem for file in folder.iterdir()} == {"first", "third", "fourth"}


def test_processes_that_write_at_once_leave_one_whole_file(folder: Path) -> None:
    code = """
    from crossrank import CrossEncoder
    print(CrossEncoder().predict([("bees", "Bees dance.")])[0])
    """
    with ThreadPoolExecutor() as pool:
        scores = set(pool.map(lambda _: run_python(code), range(3)))
    assert len(scores) == 1
    assert [file.suffix for file in folder.iterdir()] == [".blob"]


def test_tiny_models_and_architectures_from_outside_are_not_kept(
    tiny: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert path_of(tiny.name) is None
    assert path_of(DEFAULT_CROSS_ENCODER) is not None
    bert = open_model(DEFAULT_CROSS_ENCODER).family
    monkeypatch.setattr(families, "_registered", {"bert": dataclasses.replace(bert)})
    assert path_of(DEFAULT_CROSS_ENCODER) is None
