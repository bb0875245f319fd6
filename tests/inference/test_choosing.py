"""Which arithmetic a model gets: what was asked for, or the fastest that ranks like float32."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from support.onnx_models import export, strange_family
from support.processes import run_python
from support.tiny_models import PAIRS, write_reranker

from crossrank.errors import InputError
from crossrank.families.model import open_model
from crossrank.inference import choosing
from crossrank.inference.agreement import Agreement, Difference
from crossrank.inference.arithmetic import BFLOAT16, FLOAT32, Arithmetic
from crossrank.inference.choosing import choices
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.engines.openvino import OpenVinoEngine
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

INT8, STATIC = Arithmetic("int8", "float32"), Arithmetic("static int8", "float32")
STATIC_BF16 = Arithmetic("static int8", "bfloat16")


def in_order(model: str | Path, precision: Any = "auto") -> list[Arithmetic]:
    opened = open_model(model)
    tokenizer = Tokenizer(opened)
    found = choices(opened, precision, tokenizer, has_bfloat16=lambda: True)
    return [choice.arithmetic for choice in found]


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[Arithmetic, float]], None]:
    """Timings of a processor without AMX; without any, timing is an error."""

    def give(known: Mapping[Arithmetic, float]) -> None:
        def layer_speeds(_: object, arithmetics: list[Arithmetic], *__: object) -> dict[Arithmetic, float]:
            assert known, "nothing had to be timed"
            return {each: known[each] for each in arithmetics if each in known}

        monkeypatch.setattr(choosing, "layer_speeds", layer_speeds)

    monkeypatch.setattr(choosing, "has_amx", lambda: False)
    return give


@pytest.mark.parametrize(
    ("timed", "expected"),
    [
        pytest.param(
            {FLOAT32: 100, BFLOAT16: 33, STATIC: 260}, [STATIC, FLOAT32, BFLOAT16], id="slow bfloat16"
        ),
        pytest.param(
            {FLOAT32: 100, BFLOAT16: 180, STATIC_BF16: 240}, [STATIC_BF16, BFLOAT16, FLOAT32], id="both"
        ),
        pytest.param({FLOAT32: 100, STATIC: 70}, [FLOAT32, STATIC], id="neither"),
        pytest.param({FLOAT32: 100, BFLOAT16: 150}, [BFLOAT16, FLOAT32], id="int8 is refused"),
        # Two per cent are not worth the rounding, and may be chance.
        pytest.param({FLOAT32: 100, STATIC: 102}, [FLOAT32, STATIC], id="level"),
    ],
)
def test_fastest_comes_first(
    timed: dict[Arithmetic, float], expected: list[Arithmetic], speeds: Callable[..., None]
) -> None:
    speeds(timed)
    assert in_order(DEFAULT_CROSS_ENCODER) == expected


def test_int8_on_request_has_ranges_if_the_model_has(
    speeds: Callable[..., None], float_reranker: Path
) -> None:
    speeds({FLOAT32: 100, STATIC: 70, INT8: 60})
    assert in_order(DEFAULT_CROSS_ENCODER, "int8") == [STATIC]
    assert in_order(float_reranker, "int8") == [INT8]


@pytest.mark.parametrize(("precision", "expected"), [("float32", FLOAT32), ("bfloat16", BFLOAT16)])
def test_floating_point_on_request_is_not_timed(
    precision: str, expected: Arithmetic, speeds: Callable[..., None]
) -> None:
    speeds({})
    assert in_order(DEFAULT_CROSS_ENCODER, precision) == [expected]


def test_nothing_is_timed_with_amx_unless_bfloat16_fails(
    monkeypatch: pytest.MonkeyPatch, speeds: Callable[..., None]
) -> None:
    speeds({})
    monkeypatch.setattr(choosing, "has_amx", lambda: True)
    opened = open_model(DEFAULT_CROSS_ENCODER)
    found = choices(opened, "auto", Tokenizer(opened), has_bfloat16=lambda: True)
    assert next(found).arithmetic == BFLOAT16


def test_nothing_is_timed_for_tiny_and_exported_models(tmp_path: Path, speeds: Callable[..., None]) -> None:
    speeds({})
    assert in_order(write_reranker(tmp_path / "tiny")) == [FLOAT32]
    exported = strange_family(tmp_path / "exported")
    export(exported / "onnx" / "model.onnx", "logits")
    assert in_order(exported) == [FLOAT32]
    with pytest.raises(InputError, match="exported file"):
        in_order(exported, "int8")


def test_unknown_precision_is_refused_with_those_there_are(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "tiny")
    with pytest.raises(InputError, match="one of auto, float32, bfloat16, int8; it is 'fp8'"):
        CrossEncoder(folder, precision="fp8")  # type: ignore[arg-type]


def test_float32_is_exact_and_auto_ranks_like_it(float_reranker: Path) -> None:
    exact, chosen = CrossEncoder(float_reranker, precision="float32"), CrossEncoder(float_reranker)
    assert exact.precision.arithmetic == FLOAT32
    assert exact.notices == ()
    pairs = [pair for pair in PAIRS if pair[1]]
    np.testing.assert_allclose(chosen.logits(pairs)[0], exact.logits(pairs)[0], atol=0.5)
    if chosen.precision.arithmetic != FLOAT32:
        [notice] = chosen.notices
        said = re.search(r": on 40 sample passages at most (0\.\d{4}) from float32", notice)
        assert f"runs in {chosen.precision.arithmetic}: " in notice
        assert said
        assert 0 < float(said[1]) < 0.5
        assert 'precision="float32" is exact' in notice


def test_arithmetic_that_ranks_otherwise_is_not_taken(
    float_reranker: Path, monkeypatch: pytest.MonkeyPatch, speeds: Callable[..., None]
) -> None:
    speeds({FLOAT32: 100, INT8: 200})
    monkeypatch.setattr(Agreement, "is_known_to_differ", lambda *_: False)
    monkeypatch.setattr(Agreement, "difference", lambda *_: Difference(spearman=0.998, largest=0.1))
    model = CrossEncoder(float_reranker)
    assert model.precision.arithmetic == FLOAT32
    assert model.notices == ()


def test_int8_that_overflows_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, bundled: CrossEncoder, speeds: Callable[..., None]
) -> None:
    speeds({FLOAT32: 100, STATIC: 300})
    monkeypatch.setattr(Agreement, "is_broken", lambda *_: True)
    model = CrossEncoder()
    assert model.precision.arithmetic == FLOAT32
    [notice] = model.notices
    assert "computed wrongly here in static int8, so it runs in a slower arithmetic" in notice
    with pytest.raises(InputError, match="precision cannot be int8: this processor"):
        CrossEncoder(precision="int8")


@pytest.fixture
def runs_in_int8(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """An entry for each run in int8, which gives no numbers: as bfloat16 on AMD before OpenVINO 2026.3."""
    runs: list[str] = []
    run = OpenVinoEngine.run

    def run_wrongly(engine: OpenVinoEngine, *arguments: Any) -> Any:
        products = cast(Any, engine)._build.keywords["products"]
        outputs = run(engine, *arguments)
        if products == "float":
            return outputs
        runs.append(products)
        return np.full_like(outputs, np.nan)

    monkeypatch.setattr(OpenVinoEngine, "run", run_wrongly)
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return runs


def test_arithmetic_without_numbers_is_not_taken(
    speeds: Callable[..., None], runs_in_int8: list[str]
) -> None:
    speeds({FLOAT32: 100, STATIC: 300})
    for _ in range(2):
        model = CrossEncoder()
        assert model.precision.arithmetic == FLOAT32
        assert "computed wrongly here in static int8" in " ".join(model.notices)
    assert runs_in_int8 == ["static int8"]  # the second load knows it from the first


def test_arithmetic_without_numbers_is_not_taken_for_a_float_model(
    float_reranker: Path, speeds: Callable[..., None], runs_in_int8: list[str]
) -> None:
    speeds({FLOAT32: 100, INT8: 200})
    model = CrossEncoder(float_reranker)
    assert model.precision.arithmetic == FLOAT32
    assert model.notices == ()
    assert runs_in_int8


def test_int8_of_a_float_model_is_made_at_load(float_reranker: Path, bundled: CrossEncoder) -> None:
    before = sorted(float_reranker.iterdir())
    model = CrossEncoder(float_reranker, precision="int8")
    assert model.precision.arithmetic.products == "int8"
    assert sorted(float_reranker.iterdir()) == before
    pairs = [pair for pair in PAIRS if pair[1]]
    np.testing.assert_allclose(model.logits(pairs)[0], bundled.logits(pairs)[0], atol=0.5)


def test_choice_is_said_with_its_reason(bundled: CrossEncoder, tiny: CrossEncoder) -> None:
    assert str(tiny.precision) == "float32 (the model is tiny)"
    assert str(bundled.precision).startswith(str(bundled.precision.arithmetic) + " (")


# oneDNN leaves instructions unused if it is asked to; OpenVINO's int8 and bfloat16 products are its.
@pytest.mark.parametrize("held", ["AVX2", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16", ""])
def test_choice_is_right_on_each_set_of_instructions(held: str, tmp_path: Path) -> None:
    code = """
from support.tiny_models import PAIRS
from crossrank import CrossEncoder
from crossrank.inference.spearman import spearman
from crossrank.inference.sample_texts import sample_candidates
pairs = [(query, text[:300]) for query, texts in sample_candidates()[:3] for text in texts[:12]]
chosen, exact = CrossEncoder(), CrossEncoder(precision="float32")
logits, expected = chosen.logits(pairs)[0], exact.logits(pairs)[0]
near = spearman(logits, expected) > 0.99, abs(logits - expected).max() < 0.5
print(chosen.precision.arithmetic, *near, sep=",")
print(*chosen.precision.speeds, sep=",")
"""
    environment = {"CROSSRANK_CACHE": str(tmp_path)} | ({"ONEDNN_MAX_CPU_ISA": held} if held else {})
    printed = run_python(code, environment=environment)
    chosen, timed = (line.split(",") for line in printed.splitlines()[-2:])
    assert chosen[1:] == ["True", "True"]
    if "bfloat16" in chosen[0]:
        assert held in {"AVX512_CORE_BF16", ""}
    assert set(timed) >= {"float32"} or chosen[0] == "bfloat16"
