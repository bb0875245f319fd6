"""Rank blocks on a Ray cluster: Ray Data feeds a pool of actors, each with the model.

The blocks' texts are read on this machine, which has them, and travel through Ray's object store, so that the
workers need no files but the model. What waits there is bounded by Ray Data's back-pressure.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, cast

from crossrank.bulk.blocks import RankedBlock, rank_block
from crossrank.errors import InputError, MissingExtraError
from crossrank.inference.arithmetic import Precision
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.ranking.reranker import Reranker

# Of a new cluster on one machine; by default Ray takes a third of the memory.
_OBJECT_STORE = 512 * 2**20
_PATIENCE = 5.0


def rank_on_ray(
    model: CrossEncoder,
    name: str,
    todo: Sequence[int],
    load: Callable[[int], bytes],
    *,
    address: str,
    workers: int | None,
) -> Iterator[tuple[int, RankedBlock]]:
    """Rank blocks, in the order in which they are done.

    A worker that dies is started again, and its block too.

    Args:
        model: The cross-encoder, as it is loaded here; the workers' must be the same.
        name: Its name or folder, where the workers find it.
        todo: The numbers of the blocks.
        load: From the number of a block to the packed block; called on this machine.
        address: ``local``, ``auto`` or the address of a cluster. If this process has called ``ray.init``, the
            cluster of that call is used.
        workers: How many; None for one a machine.

    Raises:
        InputError: There is no cluster at the address, it has too few processors, or a worker's model or
            arithmetic is another one.
        MissingExtraError: Ray is not installed.
    """
    ray, was_connected = _connected(address)
    try:
        workers, threads = _pool(ray, workers)
        here = {f"node:{ray.util.get_node_ip_address()}": 0.001}
        blocks = ray.data.from_items([{"number": number} for number in todo], override_num_blocks=len(todo))
        texts = blocks.map(_Loaded(load), num_cpus=0, resources=here)
        results = texts.map(
            _Worker,
            fn_constructor_args=(name, model.fingerprint, str(model.precision.arithmetic), threads),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=threads,
        )
        for row in results.iter_rows():
            if row["problem"]:
                raise InputError(row["problem"])
            found = json.loads(row["result"])
            yield row["number"], RankedBlock(**found | {"notices": tuple(found["notices"])})
    finally:
        if not was_connected:
            ray.shutdown()


class _Loaded:
    """Adds the texts to the number of a block."""

    def __init__(self, load: Callable[[int], bytes]) -> None:
        self._load = load

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "block": self._load(row["number"])}


class _Worker:
    """A model on one machine of the cluster."""

    def __init__(self, name: str, fingerprint: str, arithmetic: str, threads: int) -> None:
        precision = "int8" if "int8" in arithmetic else arithmetic
        model = CrossEncoder(name, threads=threads, precision=cast("Precision", precision))
        machine, self._problem = platform.node(), ""
        # Told with each block: Ray would start a worker that cannot be made again and again.
        if model.fingerprint != fingerprint:
            self._problem = f"the model {name} is another one on the machine {machine}; copy it there"
        elif str(model.precision.arithmetic) != arithmetic:
            self._problem = (
                f"the machine {machine} computes in {model.precision.arithmetic}, and the job was begun in "
                f"{arithmetic}: scores would differ. Take the precision float32, which all machines have"
            )
        self._reranker = Reranker(model)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        result = "" if self._problem else json.dumps(asdict(rank_block(self._reranker, row["block"])))
        return {"number": row["number"], "result": result, "problem": self._problem}


def _connected(address: str) -> tuple[Any, bool]:
    """Ray, and whether this process was connected to a cluster before."""
    # Read when Ray starts: no reports to its makers, no bars over ours.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ranking on a cluster", "ray") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        return ray, True
    _check_reachable(address)
    own: dict[str, Any] = {}
    if address == "local":
        own = {"object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    try:
        ray.init(address=address, logging_level="error", log_to_driver=False, **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address) from error
    return ray, False


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address) from error


def _no_cluster(address: str) -> InputError:
    return InputError(
        f"there is no Ray cluster at {address}. Start one with `ray start --head`, or take local for one on "
        "this machine"
    )


def _pool(ray: Any, workers: int | None) -> tuple[int, int]:
    """The number of workers, and the threads of each.

    Raises:
        InputError: A worker would wait for processors forever.
    """
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    machines = [processors for processors in machines if processors]
    total = sum(machines)
    workers = len(machines) if workers is None else workers
    if not machines or workers > total:
        raise InputError(
            f"{workers} workers need a processor each, and the cluster has {total}; take fewer workers"
        )
    free = int(ray.available_resources().get("CPU", 0))
    threads = total // workers
    # Each worker has to fit onto one machine.
    while sum(processors // threads for processors in machines) < workers:
        threads -= 1
    if workers * threads > free:
        raise InputError(
            f"{workers} workers need {workers * threads} processors, and other work on the cluster leaves "
            f"{free}; take fewer workers, or wait"
        )
    return workers, threads
