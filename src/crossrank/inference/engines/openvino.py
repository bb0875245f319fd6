"""The CPU engine: OpenVINO."""

from __future__ import annotations

import ctypes
import os
import queue
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.families.graphs.openvino_library import ov
from crossrank.inference.arithmetic import Activations
from crossrank.inference.batching import Batch, make_batches
from crossrank.inference.compiled_models import CompiledModel
from crossrank.inference.engines import Progress
from crossrank.inference.engines.threads import available_threads
from crossrank.inference.tokenizer import Tokenizer, Tokens

# The group size for quantised activations; each group has its own scale. Measured on MiniLM-L6: 32 is slower
# by a third, and one group for a whole row is less exact and no faster.
_INT8_GROUP = 128
# One runs and one waits, so that no thread is idle.
_REQUESTS_A_THREAD = 2
_HINTS: dict[Activations, str] = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
# Every compiled graph of this process. See _leave_behind.
_states: weakref.WeakSet[_State] = weakref.WeakSet()


def _leave_behind() -> None:
    """In a forked child, keep the parent's graphs forever.

    Their threads exist only in the parent. Destroying the graphs in the child, even at its exit, would wait
    forever for these threads or abort the process.
    """
    for state in _states:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(state))
    _states.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_behind)


def has_bfloat16() -> bool:
    """Whether this processor has bfloat16 instructions."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def settings(activations: Activations, threads: int) -> dict[str, Any]:
    """OpenVINO's settings for a model, as far as crossrank makes any."""
    return {
        # Explicit, since the default precision depends on the processor.
        "INFERENCE_PRECISION_HINT": _HINTS[activations],
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _INT8_GROUP,
        # Small batches in parallel, each on one thread, are faster than one batch on all threads, and
        # a score does not depend on the number of threads then.
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        # Two pinned processes on one machine would compete for the same cores.
        "ENABLE_CPU_PINNING": False,
    }


class _State:
    """A compiled graph and its idle inference requests, two per thread."""

    def __init__(
        self,
        build: Callable[[], ov.Model],
        kept: CompiledModel | None,
        config: Mapping[str, Any],
    ) -> None:
        self.process = os.getpid()
        content = None if kept is None else kept.read()
        self.compiled = None if content is None else _imported(content, config)
        self.is_new = self.compiled is None
        if self.compiled is None:
            self.compiled = ov.Core().compile_model(build(), "CPU", config)
        self.input_names = frozenset(name for node in self.compiled.inputs for name in node.get_names())
        self.idle: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()
        for _ in range(config["NUM_STREAMS"] * _REQUESTS_A_THREAD):
            self.idle.put(self.compiled.create_infer_request())
        # The weights lie in it. It is the last attribute, since attributes are released in order.
        self.content = content
        _states.add(self)


def _imported(content: NDArray[np.uint8], config: Mapping[str, Any]) -> ov.CompiledModel | None:
    """A compiled model out of memory; None if OpenVINO cannot read it."""
    try:
        return ov.Core().import_model(ov.Tensor(content, shared_memory=True), "CPU", dict(config))
    except RuntimeError:
        return None


class OpenVinoEngine:
    """A graph compiled for this machine's processor.

    A forked process compiles the graph again at its first use, since threads and locks do not survive a
    fork. This is why the engine takes a function instead of a graph.

    Args:
        build: Builds the graph.
        tokenizer: The model's tokenizer, for the padding token and the maximum length.
        threads: Number of parallel inferences, each on one thread; by default one per processor available to
            this process.
        activations: The type of the activations, and of the products unless their matrices are int8.
        kept: The file that the compiled model is read from, if it is there, and that ``keep`` writes.
    """

    on_gpu = False

    def __init__(
        self,
        build: Callable[[], ov.Model],
        tokenizer: Tokenizer,
        *,
        threads: int | None = None,
        activations: Activations = "float32",
        kept: CompiledModel | None = None,
    ) -> None:
        self._build, self._activations, self._kept = build, activations, kept
        self._pad_id, self._limit = tokenizer.pad_id, tokenizer.limit
        self.threads = threads or available_threads()
        self._state = _State(build, kept, settings(activations, self.threads))

    def __deepcopy__(self, memo: object) -> OpenVinoEngine:
        # Frameworks copy their components; an engine is immutable, so the copies share it.
        return self

    def keep(self) -> None:
        """Write the compiled model to its file, unless it was read from there."""
        if self._kept is not None and self._state.is_new:
            self._kept.write(self._state.compiled)

    def run(self, inputs: Sequence[Tokens], progress: Progress | None = None) -> NDArray[np.float32]:
        """Run inputs; see :class:`crossrank.inference.engines.Engine`."""
        batches = make_batches(
            inputs, pad_id=self._pad_id, limit=self._limit, shares=_REQUESTS_A_THREAD * self.threads
        )
        rows: NDArray[np.float32] | None = None
        # Closed even if ``progress`` raises, to wait for running requests and return them to the pool.
        with closing(self._outputs(batches)) as outputs:
            for positions, output in outputs:
                if rows is None:
                    rows = np.empty((len(inputs), output.shape[1]), np.float32)
                rows[positions] = output
                if progress:
                    progress(len(positions))
        assert rows is not None, "the caller gives at least one input"
        return rows

    def _outputs(
        self, batches: Iterator[tuple[NDArray[np.intp], Batch]]
    ) -> Generator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Yield the positions and outputs [batch, d] of each batch, in the given order."""
        state = self._state
        if state.process != os.getpid():
            state = self._state = _State(self._build, self._kept, settings(self._activations, self.threads))
        running: deque[tuple[NDArray[np.intp], ov.InferRequest]] = deque()

        def oldest() -> tuple[NDArray[np.intp], NDArray[np.float32]]:
            positions, request = running.popleft()
            try:
                request.wait()
                return positions, np.array(request.get_output_tensor(0).data, np.float32)
            finally:
                state.idle.put(request)

        try:
            for positions, batch in batches:
                # A thread with running requests waits for its own; only a thread without any waits for
                # another thread's. So threads that share the engine cannot deadlock.
                while (request := _idle(state, wait=not running)) is None:
                    yield oldest()
                running.append((positions, request))
                request.start_async({n: a for n, a in batch.items() if n in state.input_names})
            while running:
                yield oldest()
        finally:
            for _, request in running:
                request.wait()
                state.idle.put(request)


def _idle(state: _State, *, wait: bool) -> ov.InferRequest | None:
    try:
        return state.idle.get(block=wait)
    except queue.Empty:
        return None
