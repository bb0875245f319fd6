"""Where a model runs: on the processor by OpenVINO or PyTorch, on a GPU by PyTorch."""

from __future__ import annotations

import re

from crossrank.errors import InputError
from crossrank.families.model import Model

_NAME = re.compile(r"cpu|mps|cuda(:\d{1,3})?")


def check_device(device: str | None) -> None:
    """Refuse what is no device's name.

    Raises:
        InputError: It is none.
    """
    if device is not None and not _NAME.fullmatch(device):
        raise InputError(f"device must be cpu, cuda, cuda:0 (and so on) or mps; it is {device!r:.40}")


def on_gpu(device: str | None) -> bool:
    """Whether a device is another than the processor.

    Example:
        >>> on_gpu("cuda:1"), on_gpu("cpu"), on_gpu(None)
        (True, False, False)
    """
    return device not in {None, "cpu"}


def runs_on_openvino(model: Model, device: str | None) -> bool:
    """Whether OpenVINO runs a model there: on the processor, by a graph of the package or an exported one."""
    return not on_gpu(device) and (model.has_graph or model.export is not None)
