"""The CPU engine: OpenVINO."""

from __future__ import annotations

import ctypes
import os
import queue
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.families.graphs.openvino_library import ov
from crossrank.inference.batching import Batch, make_batches
from crossrank.inference.engines import Progress
from crossrank.inference.engines.threads import available_threads
from crossrank.inference.tokenizer import Tokenizer, Tokens

# Activations are quantised in groups of so many values, each with a scale of its own. Measured on MiniLM-L6:
# 32 is slower by a third, and one group for a whole row is no faster and less exact.
_INT8_GROUP = 128
# One runs and one waits, so that a thread that is done goes on at once.
_REQUESTS_A_THREAD = 2
# Of products and what lies between them; int8 matrices are multiplied in int8 within float32.
Precision: TypeAlias = Literal["f32", "bf16"]
# Every compiled graph of this process. See _leave_behind.
_states: weakref.WeakSet[_State] = weakref.WeakSet()


def _leave_behind() -> None:
    """In a forked child, keep the parent's graphs for ever.

    Their threads live in the parent alone. Destroyed here, even by the child's own end, they would be waited
    for in vain, or the process would be aborted.
    """
    for state in _states:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(state))
    _states.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_behind)


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class _State:
    """A compiled graph and its idle inference requests, two a thread."""

    def __init__(self, graph: ov.Model, threads: int, precision: Precision) -> None:
        self.process = os.getpid()
        compiled = ov.Core().compile_model(
            graph,
            "CPU",
            {
                # Said, since by default it depends on the processor whether floats stay as exact as they are.
                "INFERENCE_PRECISION_HINT": precision,
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": _INT8_GROUP,
                # Small batches side by side, each on one thread, beat one batch spread over all threads;
                # and a score then does not depend on how many threads there are.
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": threads,
                # Two pinned processes on one machine would fight for the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self.input_names = frozenset(name for node in compiled.inputs for name in node.get_names())
        self.idle: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()
        for _ in range(threads * _REQUESTS_A_THREAD):
            self.idle.put(compiled.create_infer_request())
        _states.add(self)


class OpenVinoEngine:
    """A graph compiled for this machine's processor.

    A process that was forked off compiles the graph again at its first use, since threads and locks do not
    survive a fork; that is why the engine takes a function and not a graph.

    Args:
        build: Makes the graph.
        tokenizer: What makes the inputs; it knows the padding token and the longest input.
        threads: Inferences that run side by side, each on one thread; by default one for every processor
            that this process may use.
        precision: Of the arithmetic.
    """

    on_gpu = False

    def __init__(
        self,
        build: Callable[[], ov.Model],
        tokenizer: Tokenizer,
        *,
        threads: int | None = None,
        precision: Precision = "f32",
    ) -> None:
        self._build, self._precision = build, precision
        self._pad_id, self._limit = tokenizer.pad_id, tokenizer.limit
        self.threads = threads or available_threads()
        self._state = _State(build(), self.threads, precision)

    def __deepcopy__(self, memo: object) -> OpenVinoEngine:
        # Frameworks copy their components; an engine never changes, so that the copies can share it.
        return self

    def run(self, inputs: Sequence[Tokens], progress: Progress | None = None) -> NDArray[np.float32]:
        """Run inputs; see :class:`crossrank.inference.engines.Engine`."""
        batches = make_batches(
            inputs, pad_id=self._pad_id, limit=self._limit, shares=_REQUESTS_A_THREAD * self.threads
        )
        rows: NDArray[np.float32] | None = None
        # Closed also where ``progress`` raises: requests that are running are then waited for and given back.
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
        """Positions and outputs [batch, d] of every batch, in the given order."""
        state = self._state
        if state.process != os.getpid():
            state = self._state = _State(self._build(), self.threads, self._precision)
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
                # Whoever has a request running waits for it, and only who has none waits for others':
                # so threads that share the engine cannot wait for each other in a circle.
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
