"""What was measured on this machine is kept, whatever becomes of the file."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock
from support.processes import run_python

from crossrank.inference import machine_cache
from crossrank.inference.machine_cache import measuring, remember, remembered


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_value_is_kept_by_kind_and_key(folder: Path) -> None:
    remember("speeds", "a", {"float32": 1.5})
    remember("speeds", "b", 2)
    remember("differences", "a", 3)
    assert remembered("speeds", "a") == {"float32": 1.5}
    assert (remembered("speeds", "b"), remembered("differences", "a")) == (2, 3)
    assert remembered("speeds", "c") is None
    assert {file.name for file in folder.iterdir()} == {"precision.json", "precision.lock"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"speeds": 3}', b"\xff\xfe", b"[" * 100_000])
def test_damaged_file_is_as_none_and_is_replaced(content: bytes, folder: Path) -> None:
    folder.mkdir()
    (folder / "precision.json").write_bytes(content)
    assert remembered("speeds", "a") is None
    remember("speeds", "a", 1)
    assert remembered("speeds", "a") == 1


def test_folder_that_cannot_be_written_costs_nothing_but_the_value(tmp_path: Path, folder: Path) -> None:
    folder.write_text("a file where the folder should be", encoding="utf-8")
    remember("speeds", "a", 1)
    assert remembered("speeds", "a") is None


def test_processes_that_write_at_once_lose_nothing(folder: Path) -> None:
    code = """
    import sys
    from crossrank.inference.machine_cache import remember, remembered
    for number in range(200):
        remember("speeds", sys.argv[1], "x" * number)
        remembered("speeds", "first")
    """
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: run_python(code, name), ["first", "second", "third"]))
    content = json.loads((folder / "precision.json").read_text(encoding="utf-8"))
    assert content["speeds"] == dict.fromkeys(["first", "second", "third"], "x" * 199)
    assert {file.name for file in folder.iterdir()} == {"precision.json", "precision.lock"}


def test_processes_that_start_at_once_measure_once() -> None:
    code = """
    import time
    from crossrank.inference.machine_cache import measuring, remember, remembered
    with measuring():
        if remembered("speeds", "a") is None:
            time.sleep(0.3)  # long enough for the others to come
            remember("speeds", "a", "measured")
            print("measured")
    """
    with ThreadPoolExecutor() as pool:
        printed = list(pool.map(lambda _: run_python(code), range(3)))
    assert "".join(printed).split() == ["measured"]


def test_process_that_was_stopped_while_it_measured_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_cache, "_PATIENCE", 0.05)
    folder.mkdir()
    with FileLock(folder / "precision.lock"), measuring():
        remember("speeds", "a", 1)
    assert remembered("speeds", "a") == 1
