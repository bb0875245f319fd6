from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_models import PAIRS, write_reranker

from crossrank import Reranker
from crossrank.errors import InputError, MissingExtraError, ModelError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.devices import Device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "", "CPU", "cuda:1234"])
def test_what_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=r"device must be cpu, cuda, cuda:0 .* or mps; it is"):
        CrossEncoder(device=device)


def test_processor_is_the_device_by_default(tiny: CrossEncoder, tmp_path: Path) -> None:
    model = CrossEncoder(write_reranker(tmp_path / "model"), device="cpu")
    assert model.predict(list(PAIRS)).tolist() == tiny.predict(list(PAIRS)).tolist()  # type: ignore[union-attr]


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_gpu_without_pytorch_is_an_error_that_names_the_extra(device: str) -> None:
    with pytest.raises(MissingExtraError, match=rf"{device} needs .*pip install 'crossrank\[torch\]'"):
        Reranker(device=device)


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("family", ["albert", "deberta"])
def test_family_that_needs_pytorch_is_an_error_that_names_the_extra(family: str, tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", config={"model_type": family})
    with pytest.raises(ModelError, match=rf"{family} model.*pip install 'crossrank\[torch\]'"):
        CrossEncoder(folder)


def test_gpu_takes_no_weights_that_can_run_code(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="a format that can run code when it is opened"):
        CrossEncoder(folder, device="cuda")


def test_gpu_has_no_use_for_an_exported_graph(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model.onnx")
    with pytest.raises(ModelError, match=r"only as model\.onnx, which runs on the processor alone"):
        CrossEncoder(folder, device="cuda")


def test_gpu_runs_no_code_that_a_model_brings(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "model", config={"auto_map": {"AutoModel": "evil.Model"}})
    with pytest.raises(ModelError, match="Python code of its own, which crossrank never runs"):
        CrossEncoder(folder, device="cuda")


def test_device_has_the_parts_of_pytorch_s() -> None:
    device = Device.named("cuda")
    assert (device, device.type, device.index) == ("cuda:0", "cuda", 0)
    assert Device.named(None) == "cpu" != device
    assert {device: 1}["cuda:0"] == 1
