"""The engine for GPUs, and for architectures without an OpenVINO graph: transformers' networks in PyTorch."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.families.networks.network import Network
from crossrank.inference.arithmetic import Activations
from crossrank.inference.engines import Progress
from crossrank.inference.engines.threads import available_threads
from crossrank.inference.packing import fitting, pack
from crossrank.inference.tokenizer import Tokens

# Tokens per batch. 64 thousand keep a large GPU busy with any model, and the launch overhead is small then; a
# CPU needs fewer, and they should fit into its cache.
_GPU_BUDGET, _CPU_BUDGET = 65_536, 4_096


def open_device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        InputError: The device does not exist.
    """
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"there is no device {name} here: PyTorch {torch.__version__} sees {torch.cuda.device_count()} "
            "CUDA devices"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"there is no device mps here: PyTorch {torch.__version__} sees no Apple GPU")
    return device


def body_type(device: torch.device) -> Activations:
    """The type of a network's body: float32 on a CPU; on a GPU, bfloat16 if it is supported."""
    if device.type == "cpu":
        return "float32"
    if device.type == "cuda":
        with torch.cuda.device(device):
            has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bfloat16 = torch.backends.mps.is_macos_or_newer(14, 0)
    return "bfloat16" if has_bfloat16 else "float16"


class TorchEngine:
    """A transformers network on a device.

    On a GPU, the next batch is prepared and sent while the current one is computed. If a batch does not fit
    into memory, it is halved, and so are the following batches.

    Args:
        name: The model's name, for messages.
        load: Loads the network on the device.
        device: The device to run on.
        threads: CPU threads; by default one per processor available to this process. PyTorch has one setting
            for the whole process.

    Raises:
        ModelError: The model does not fit into the device's memory.
    """

    def __init__(
        self, name: str, load: Callable[[], Network], device: torch.device, *, threads: int | None = None
    ) -> None:
        self._name, self._device = name, device
        self._budget = _CPU_BUDGET if device.type == "cpu" else _GPU_BUDGET
        self.on_gpu = device.type != "cpu"
        self._process = os.getpid()
        self._one_at_a_time = threading.Lock()
        if device.type == "cpu":
            torch.set_num_threads(threads or available_threads())
        try:
            with self._on_device():
                self._network = load()
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{name} does not fit into the memory of {device}") from error

    def __deepcopy__(self, memo: object) -> TorchEngine:
        # Frameworks copy their components; an engine is immutable, so the copies share it.
        return self

    def run(self, inputs: Sequence[Tokens], progress: Progress | None = None) -> NDArray[np.float32]:
        """Run inputs; see :class:`crossrank.inference.engines.Engine`.

        Raises:
            ModelError: A single input does not fit into the device's memory, or the process was forked and
                the device is a GPU.
        """
        if self._process != os.getpid():
            self._after_fork()
        lengths = np.array([len(tokens.ids) for tokens in inputs], np.intp)
        # Longest first, so that memory runs out at once or never, and inputs of one length are batched.
        left = np.argsort(-lengths, kind="stable")
        running: deque[tuple[NDArray[np.intp], Callable[[], NDArray[np.float32]]]] = deque()
        rows: NDArray[np.float32] | None = None
        while len(left) or running:
            # The next batch is prepared while this one is computed.
            if len(left) and len(running) < 2:
                count = fitting(lengths[left], self._budget, padded=self._network.padded)
                part = left[:count]
                try:
                    running.append((part, self._start([inputs[position] for position in part])))
                    left = left[count:]
                except torch.OutOfMemoryError as error:
                    self._halve(lengths[part], error)
                continue
            part, finish = running.popleft()
            outputs = finish()
            if rows is None:
                rows = np.empty((len(inputs), outputs.shape[1]), np.float32)
            rows[part] = outputs
            if progress:
                progress(len(part))
        assert rows is not None, "the caller gives at least one input"
        return rows

    def _start(self, inputs: Sequence[Tokens]) -> Callable[[], NDArray[np.float32]]:
        """Start a batch, and return a function that waits for its outputs [n, d]."""
        together = pack(inputs)
        with self._one_at_a_time, self._on_device(), torch.inference_mode():
            outputs = self._network(together)
            if self._device.type != "cuda":
                here = outputs.cpu()
                return lambda: here.numpy()
            landed = torch.empty(outputs.shape, dtype=outputs.dtype, pin_memory=True)
            landed.copy_(outputs, non_blocking=True)
            done = torch.cuda.Event()
            done.record()

        def finish() -> NDArray[np.float32]:
            done.synchronize()
            values: NDArray[np.float32] = landed.numpy()
            return values

        return finish

    def _on_device(self) -> Any:
        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()

    def _halve(self, lengths: NDArray[np.intp], error: torch.OutOfMemoryError) -> None:
        if len(lengths) == 1:
            raise ModelError(
                f"{self._name}: one pair of {lengths[0]} tokens does not fit into the memory of "
                f"{self._device}; a smaller max_length would"
            ) from error
        tokens = int(lengths[0]) * len(lengths) if self._network.padded else int(lengths.sum())
        self._budget = min(self._budget, tokens) // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _after_fork(self) -> None:
        if self._device.type != "cpu":
            raise ModelError(
                f"{self._name} is on {self._device}, which a forked process cannot use: load the model after "
                "the fork, or start processes by multiprocessing's method 'spawn'"
            )
        # Threads do not survive a fork, and PyTorch would wait for the parent's threads.
        torch.set_num_threads(1)
        self._one_at_a_time = threading.Lock()
        self._process = os.getpid()
