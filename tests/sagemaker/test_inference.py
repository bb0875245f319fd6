"""The handlers by themselves; with the toolkit around them see test_toolkit.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.tiny_models import PAIRS, save, write_reranker

from crossrank.errors import ModelError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.sagemaker.inference import model_fn, transform_fn
from crossrank.server.answering import answer_body
from crossrank.server.request import RequestError
from crossrank.server.wire.sagemaker import SageMaker


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return write_reranker(tmp_path / "model")


def test_weights_come_from_the_model_dir_before_the_name_in_the_environment(
    model_dir: Path, tiny: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_MODEL_ID", "owner/unknown")
    answer, answer_type = transform_fn(
        model_fn(str(model_dir)), json.dumps({"text_pairs": PAIRS}), "application/json", "*/*"
    )
    assert answer_type == "application/json"
    assert json.loads(answer)["scores"] == tiny.logits(PAIRS)[0].tolist()


def test_without_weights_the_name_in_the_environment_is_loaded(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty" / "code").mkdir(parents=True)
    monkeypatch.setenv("HF_MODEL_ID", str(model_dir))
    assert model_fn(str(tmp_path / "empty")).name == str(model_dir)


def test_without_weights_and_name_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_MODEL_ID", raising=False)
    with pytest.raises(
        ModelError, match=r"holds no config.json, and HF_MODEL_ID names none.*crossrank sagemaker"
    ):
        model_fn(str(tmp_path))


def test_weights_that_are_not_numbers_do_not_load(model_dir: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(model_dir, damaged)
    from safetensors.numpy import load_file

    tensors = load_file(damaged / "model.safetensors")
    save(damaged, {name: np.full_like(values, np.nan) for name, values in tensors.items()})
    with pytest.raises(ModelError, match="damaged"):
        model_fn(str(damaged))


def test_a_text_that_is_no_unicode_is_the_callers_fault(tiny: CrossEncoder) -> None:
    with pytest.raises(RequestError) as caught:
        answer_body(SageMaker(), tiny, b'{"pairs": [["half a character", "\\ud83c"]]}')
    assert caught.value.status == 400


def test_a_score_that_is_not_a_number_is_the_models_fault(
    tiny: CrossEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        type(tiny.scoring), "logits", lambda _, outputs: np.full(len(outputs), np.nan, np.float32)
    )
    with pytest.raises(RequestError, match="not a number") as caught:
        answer_body(SageMaker(), tiny, b'{"pairs": [["a", "b"]]}')
    assert caught.value.status == 500


def test_a_hundred_thousand_pairs_come_back_whole_and_in_order(tiny: CrossEncoder) -> None:
    texts = [f"the tide at {number % 5000} to the harbour" for number in range(100_000)]
    body = json.dumps({"pairs": [["when is the tide", text] for text in texts]}).encode()
    answer, _ = transform_fn(tiny, body, "application/json", "application/json")
    scores = json.loads(answer)["scores"]
    assert len(scores) == 100_000
    assert scores[:5000] == scores[95_000:]
    for position in (0, 4095, 4096, 99_999):
        assert scores[position] == tiny.logits([("when is the tide", texts[position])])[0][0]
