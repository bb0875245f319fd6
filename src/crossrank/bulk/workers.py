"""The parts of a job are done in this process, or on a Ray cluster.

There Ray Data feeds a pool of actors, each with a model. The parts are read on this machine, which has them,
and travel through Ray's object store, so that the workers need no files but the model. What waits there is
bounded by Ray Data's back-pressure.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from crossrank.cluster import connected, workers_and_threads
from crossrank.errors import CrossrankError, InputError
from crossrank.inference.arithmetic import Precision

Work: TypeAlias = Callable[[bytes], bytes]
"""From a packed part to its packed result."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Workers on a cluster.

    Attributes:
        ray: Ray, connected.
        workers: How many workers.
        threads: The threads of each.
    """

    ray: Any
    workers: int
    threads: int

    def map(
        self, todo: Sequence[int], load: Callable[[int], bytes], make: Callable[[int], Work]
    ) -> Iterator[tuple[int, bytes]]:
        """The number and the result of each part, in the order in which they are done.

        A worker that dies is started again, and its part too.

        Args:
            todo: The numbers of the parts.
            load: From the number of a part to the packed part; called on this machine.
            make: From a number of threads to a worker; called on the machines of the cluster. It raises
                CrossrankError if that is not possible.

        Raises:
            InputError: A worker cannot be made.
        """
        data = self.ray.data
        here = {f"node:{self.ray.util.get_node_ip_address()}": 0.001}
        numbers = data.from_items([{"number": number} for number in todo], override_num_blocks=len(todo))
        results = numbers.map(_Loaded(load), num_cpus=0, resources=here).map(
            _Worker,
            fn_constructor_args=(make, self.threads),
            compute=data.ActorPoolStrategy(size=self.workers),
            num_cpus=self.threads,
        )
        for row in results.iter_rows():
            if row["problem"]:
                raise InputError(row["problem"])
            yield row["number"], row["result"]


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
    with connected(address) as ray:
        yield Pool(ray, *workers_and_threads(ray, workers))


def done_parts(
    pool: Pool | None,
    todo: Sequence[int],
    load: Callable[[int], bytes],
    *,
    work: Work,
    make: Callable[[int], Work],
) -> Iterator[tuple[int, bytes]]:
    """The number and the result of each part, in the order in which they are done.

    Args:
        pool: Workers on a cluster (see :meth:`Pool.map`); None does the work in this process.
        todo: The numbers of the parts.
        load: From the number of a part to the packed part.
        work: Does a part in this process.
        make: Makes a worker on the cluster.
    """
    if pool is None or not todo:
        for number in todo:
            yield number, work(load(number))
    else:
        yield from pool.map(todo, load, make)


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


class _Loaded:
    """Adds the packed part to its number."""

    def __init__(self, load: Callable[[int], bytes]) -> None:
        self._load = load

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "part": self._load(row["number"])}


class _Worker:
    """A model on one machine of the cluster."""

    def __init__(self, make: Callable[[int], Work], threads: int) -> None:
        self._problem = ""
        # Reported with each part: Ray would start a worker that cannot be made again and again.
        try:
            self._work = make(threads)
        except CrossrankError as error:
            self._problem = f"the machine {platform.node()} cannot work on this: {error}"

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        result = b"" if self._problem else self._work(row["part"])
        return {"number": row["number"], "result": result, "problem": self._problem}
