"""A Ray cluster: connecting to it, and how many workers fit on it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crossrank.errors import InputError, MissingExtraError

# Of a new cluster on one machine; by default Ray takes a third of the memory.
_OBJECT_STORE = 512 * 2**20
# In seconds: for a cluster to answer, and for its processors to be free.
_PATIENCE = 5.0


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster until the context exits.

    Args:
        address: ``local``, ``auto`` or the address of a cluster. If this process has called ``ray.init``, the
            cluster of that call is used, and stays connected.

    Raises:
        InputError: There is no cluster at the address.
        MissingExtraError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray starts: no reports to its makers
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("work on a cluster", "ray") from error
    if ray.is_initialized():
        yield ray
        return
    _check_reachable(address)
    own: dict[str, Any] = {}
    if address == "local":
        own = {"object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    try:
        ray.init(address=address, logging_level="error", log_to_driver=False, **own)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def workers_and_threads(ray: Any, workers: int | None, *, reserved: float = 1.0) -> tuple[int, int]:
    """The number of workers, and the threads of each.

    Args:
        ray: Ray, connected.
        workers: How many; None for one a machine.
        reserved: The share of its processors that a worker reserves.

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
    threads = total // workers
    # Each worker has to fit onto one machine.
    while sum(processors // threads for processors in machines) < workers:
        threads -= 1
    end = time.monotonic() + _PATIENCE
    # What ended just now has not given everything back yet.
    wanted = workers * threads * reserved
    while wanted > (free := ray.available_resources().get("CPU", 0.0)):
        if time.monotonic() < end:
            time.sleep(0.1)
            continue
        raise InputError(
            f"{workers} workers need {wanted:g} processors, and other work on the cluster leaves "
            f"{free:g}; take fewer workers, or wait"
        )
    return workers, threads


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
