"""Layers are timed once for a processor and a shape of model."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.processes import run_python

from crossrank.families.model import open_model
from crossrank.inference import timing
from crossrank.inference.arithmetic import BFLOAT16, FLOAT32, Arithmetic
from crossrank.inference.timing import layer_speeds, machine_key
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER

INT8 = Arithmetic("int8", "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[list[Arithmetic]]:
    """What was timed, call by call; this processor refuses bfloat16."""
    calls: list[list[Arithmetic]] = []

    def fake(_: Any, arithmetics: Sequence[Arithmetic], *__: Any) -> dict[str, float]:
        calls.append(list(arithmetics))
        return {str(each): 100.0 for each in arithmetics if each != BFLOAT16}

    monkeypatch.setattr(timing, "_timed", fake)
    return calls


def speeds(*arithmetics: Arithmetic, name: str = DEFAULT_CROSS_ENCODER) -> Any:
    model = open_model(name)
    return layer_speeds(model, arithmetics, Tokenizer(model))


def test_real_layers_are_timed_in_every_arithmetic() -> None:
    static = Arithmetic("static int8", "float32")
    found = speeds(FLOAT32, INT8, static)
    assert FLOAT32 in found
    assert all(100 < speed < 1e7 for speed in found.values())


@pytest.mark.skipif(sys.platform == "win32", reason="the processors' time is counted too coarsely there")
def test_time_that_a_busy_machine_takes_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        def __init__(self, *, waits: bool) -> None:
            self.waits = waits

        def run(self, _: object) -> None:
            if self.waits:
                time.sleep(0.01)
                return
            end = time.process_time() + 0.002
            while time.process_time() < end:
                pass

    monkeypatch.setattr(timing, "_engine", lambda _, arithmetic, *__: Engine(waits=arithmetic == INT8))
    found = speeds(FLOAT32, INT8)
    assert found[INT8] > found[FLOAT32]


def test_shape_is_timed_once_and_what_is_refused_is_not_tried_again(timed: list[list[Arithmetic]]) -> None:
    for _ in range(2):
        assert list(speeds(FLOAT32, BFLOAT16)) == [FLOAT32]
    assert list(speeds(FLOAT32, INT8)) == [FLOAT32, INT8]
    assert timed == [[FLOAT32, BFLOAT16], [FLOAT32, INT8]]


def test_layers_of_one_shape_are_timed_once_whatever_the_head(timed: list[list[Arithmetic]]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: speeds(FLOAT32, name=name), [DEFAULT_CROSS_ENCODER, DEFAULT_BI_ENCODER]))
    assert len(timed) == 1


def test_other_shapes_are_timed_for_themselves(timed: list[list[Arithmetic]], float_reranker: Path) -> None:
    speeds(FLOAT32)
    speeds(FLOAT32, name=str(float_reranker))
    assert len(timed) == 2


def test_folder_that_cannot_be_written_costs_the_timing(folder: Path, timed: list[list[Arithmetic]]) -> None:
    folder.write_text("a file where the folder should be", encoding="utf-8")
    for _ in range(2):
        assert speeds(FLOAT32) == {FLOAT32: 100}
    assert len(timed) == 2


def test_kept_value_that_is_no_number_is_timed_again(folder: Path, timed: list[list[Arithmetic]]) -> None:
    speeds(FLOAT32)
    file = folder / "precision.json"
    file.write_text(file.read_text(encoding="utf-8").replace("100.0", '"fast"'), encoding="utf-8")
    speeds(FLOAT32)
    assert len(timed) == 2


def test_processor_that_is_held_to_fewer_instructions_is_another_machine() -> None:
    code = "from crossrank.inference.timing import machine_key; print(machine_key())"
    assert run_python(code, environment={"ONEDNN_MAX_CPU_ISA": "AVX2"}).strip() != machine_key()
    assert run_python(code).strip() == machine_key()
