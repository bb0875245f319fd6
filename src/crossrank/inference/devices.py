"""The device that a model runs on: OpenVINO or PyTorch on the CPU, PyTorch on a GPU."""

from __future__ import annotations

import re

from crossrank.errors import InputError
from crossrank.families.model import Model
from crossrank.models.modules import Chain

_NAME = re.compile(r"cpu|mps|cuda(:\d{1,3})?")


class Device(str):
    """A device name with the attributes of ``torch.device``, to which it compares equal.

    Example:
        >>> Device("cuda:1").type, Device("cuda:1").index, Device("cpu").index
        ('cuda', 1, None)
    """

    __slots__ = ()

    @classmethod
    def named(cls, name: str | None) -> Device:
        """The device of a name: None is the CPU, ``cuda`` is the first GPU."""
        return cls({None: "cpu", "cuda": "cuda:0"}.get(name, name))

    @property
    def type(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """Which of several; None where the name does not say."""
        number = self.partition(":")[2]
        return int(number) if number else None

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


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


def runs_on_openvino(model: Model, device: str | None, chain: Chain) -> bool:
    """Whether OpenVINO runs a model there: on the processor, by a graph of the package or an exported one."""
    if chain.task == "static":  # not OpenVINO, but nothing is sent anywhere either
        return True
    answers = chain.task == "text-generation"
    return not on_gpu(device) and not answers and (model.has_graph or model.export is not None)
