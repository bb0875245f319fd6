"""The parts of a job are done in this process, or on a Ray cluster.

There, each worker is an actor with a model. The parts are read on this machine, which has them, and sent to
the workers, so that these need no files but the model. Not Ray Data: it takes several more processes, reads
parts long before they are needed, and gives up when a worker dies while its model loads.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast

from crossrank.cluster import connected, workers_and_threads
from crossrank.errors import CrossrankError, InputError
from crossrank.inference.arithmetic import Precision

Work: TypeAlias = Callable[[bytes], bytes]
"""From a packed part to its packed result."""

# Parts that a worker has: the one it does, and the next.
_AT_ONCE = 2
# For each worker, the most parts that are begun and not returned. With results in order, those after a slow
# part wait for it in memory.
_AHEAD = 8
# How often a worker that dies is started again.
_RESTARTS = 20


@dataclass(frozen=True, slots=True)
class Pool:
    """Workers on a cluster.

    Attributes:
        ray: Ray, connected.
        workers: How many workers.
        threads: The threads of each.
        actors: The workers, once there is work.
    """

    ray: Any
    workers: int
    threads: int
    actors: list[Any] = field(default_factory=list)

    def map(
        self,
        todo: Sequence[int],
        load: Callable[[int], bytes],
        make: Callable[[int], Work],
        *,
        in_order: bool = False,
    ) -> Iterator[tuple[int, bytes]]:
        """The number and the result of each part.

        A worker that dies is started again, and its part too. A slow worker gets fewer parts than others.

        Args:
            todo: The numbers of the parts.
            load: From the number of a part to the packed part; called on this machine.
            make: From a number of threads to a worker; called on the machines of the cluster. It raises
                CrossrankError if that is not possible.
            in_order: Whether results come in the order of ``todo``, or as they are done. In order, results
                wait in memory for a slow worker, so the others stop when they are some parts ahead of it.

        Raises:
            InputError: A worker cannot be made.
        """
        made = self.ray.remote(num_cpus=self.threads, max_restarts=_RESTARTS, max_task_retries=-1)(_Worker)
        self.actors.extend(made.remote(make, self.threads) for _ in range(self.workers))
        free, most = self.actors * _AT_ONCE, _AHEAD * self.workers
        running: dict[Any, tuple[Any, int]] = {}
        # By place in todo, as are these numbers.
        waiting: dict[int, bytes] = {}
        begun = returned = 0
        while returned < len(todo):
            while free and begun < min(returned + most, len(todo)):
                actor = free.pop(0)
                running[actor.work.remote(load(todo[begun]))] = actor, begun
                begun += 1
            [done], _ = self.ray.wait(list(running), num_returns=1)
            actor, place = running.pop(done)
            free.append(actor)
            waiting[place] = self._result(done)
            while (following := returned if in_order else place) in waiting:
                returned += 1
                yield todo[following], waiting.pop(following)

    def close(self) -> None:
        """End the workers, so that their processors are free."""
        for actor in self.actors:
            self.ray.kill(actor)

    def _result(self, done: Any) -> bytes:
        try:
            result, problem = self.ray.get(done)
        except self.ray.exceptions.RayActorError as error:
            raise InputError(f"a worker died {_RESTARTS + 1} times; the last time: {error}") from error
        if problem:
            raise InputError(problem)
        return bytes(result)


@contextmanager
def pool_of(address: str | None, workers: int | None) -> Iterator[Pool | None]:
    """A pool of workers on the cluster at an address; None without an address.

    Args:
        address: See :func:`crossrank.cluster.connected`.
        workers: How many; None for one a machine.

    Raises:
        InputError: There is no cluster at the address, or it has too few processors.
        MissingExtraError: Ray is not installed.
    """
    if address is None:
        yield None
        return
    with connected(address) as ray, closing(Pool(ray, *workers_and_threads(ray, workers))) as pool:
        yield pool


def done_parts(
    pool: Pool | None,
    todo: Sequence[int],
    load: Callable[[int], bytes],
    *,
    work: Work,
    make: Callable[[int], Work],
    in_order: bool = False,
) -> Iterator[tuple[int, bytes]]:
    """The number and the result of each part.

    Args:
        pool: Workers on a cluster (see :meth:`Pool.map`); None does the work in this process, a part at a
            time and in order.
        todo: The numbers of the parts.
        load: From the number of a part to the packed part.
        work: Does a part in this process.
        make: Makes a worker on the cluster.
        in_order: Whether results come in the order of ``todo``, or as they are done.
    """
    if pool is None or not todo:
        for number in todo:
            yield number, work(load(number))
    else:
        yield from pool.map(todo, load, make, in_order=in_order)


class LoadedModel(Protocol):
    """What identifies a loaded model: a cross-encoder or a bi-encoder."""

    @property
    def fingerprint(self) -> str:
        """Identifies the model by its content."""

    @property
    def precision(self) -> Any:
        """Has the arithmetic that it runs in."""


def precision_for(arithmetic: str) -> Precision:
    """The precision that gives this arithmetic."""
    return cast("Precision", "int8" if "int8" in arithmetic else arithmetic)


def check_same(model: LoadedModel, name: str, fingerprint: str, arithmetic: str) -> None:
    """Raise InputError if the model of a worker is not the one that the job was begun with."""
    if model.fingerprint != fingerprint:
        raise InputError(f"the model {name} is another one there; copy it from here")
    if str(model.precision.arithmetic) != arithmetic:
        raise InputError(
            f"it computes in {model.precision.arithmetic}, and the job was begun in {arithmetic}: results "
            "would differ. Take the precision float32, which all machines have"
        )


class _Worker:
    """A model on one machine of the cluster."""

    def __init__(self, make: Callable[[int], Work], threads: int) -> None:
        self._problem = ""
        # Reported with each part: Ray would start a worker that cannot be made again and again.
        try:
            self._work = make(threads)
        except CrossrankError as error:
            self._problem = f"the machine {platform.node()} cannot work on this: {error}"

    def work(self, part: bytes) -> tuple[bytes, str]:
        """The result of a part, or why there is none."""
        return (b"", self._problem) if self._problem else (self._work(part), "")
