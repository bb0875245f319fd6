"""A slow worker stops no other, and results that wait for it do not fill the memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from crossrank.bulk.workers import Pool, Work, done_parts

WORKERS, PARTS = 3, 200
# What docs/bulk.md says.
AHEAD = 8


class Cluster:
    """Stands in for Ray: the first worker does a part only when no other worker has one."""

    exceptions = SimpleNamespace(RayActorError=RuntimeError)

    def __init__(self) -> None:
        self.queues: list[deque[tuple[int, Any]]] = []

    def remote(self, **_: Any) -> Callable[[type], Any]:
        return lambda kind: SimpleNamespace(remote=partial(self._start, kind))

    def _start(self, kind: type, *arguments: Any) -> Any:
        worker, queue = kind(*arguments), deque[tuple[int, Any]]()
        self.queues.append(queue)
        count = iter(range(PARTS))

        def begin(part: bytes) -> Any:
            task = (len(self.queues), next(count), id(worker))
            queue.append((task, worker.work(part)))
            return task

        return SimpleNamespace(work=SimpleNamespace(remote=begin))

    def wait(self, running: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        del num_returns
        busy = [queue for queue in self.queues[1:] if queue] or self.queues
        self.done = max(busy, key=len).popleft()
        assert self.done[0] in running
        return [self.done[0]], []

    def get(self, task: Any) -> Any:
        assert task == self.done[0]
        return self.done[1]


def _work(part: bytes) -> bytes:
    return part * 2


def _make(_: int) -> Work:
    return _work


@pytest.fixture
def slow() -> Pool:
    """A pool with a slow worker."""
    return Pool(Cluster(), WORKERS, threads=1)


def test_results_in_order_wait_for_a_slow_worker_in_bounded_memory(slow: Pool) -> None:
    begun: list[int] = []
    returned = 0
    todo = range(1000, 1000 + PARTS)

    def load(number: int) -> bytes:
        begun.append(number)
        assert len(begun) - returned <= AHEAD * WORKERS
        return b"%d" % number

    for number, result in done_parts(slow, todo, load, work=_work, make=_make, in_order=True):
        assert (number, result) == (todo[returned], b"%d%d" % (number, number))
        returned += 1
    assert begun == list(todo)
    assert returned == PARTS


def test_results_in_any_order_do_not_wait_for_a_slow_worker(slow: Pool) -> None:
    begun: list[int] = []
    returned: list[int] = []

    def load(number: int) -> bytes:
        begun.append(number)
        assert len(begun) - len(returned) <= 2 * WORKERS
        return b"%d" % number

    for number, result in done_parts(slow, range(PARTS), load, work=_work, make=_make):
        assert result == b"%d%d" % (number, number)
        returned.append(number)
    # The slow worker had the first part, and one more.
    assert set(returned[-2:]) == {0, WORKERS}
    assert sorted(returned) == list(range(PARTS))


def test_without_a_cluster_a_part_is_read_when_the_one_before_it_is_done() -> None:
    begun: list[int] = []

    def load(number: int) -> bytes:
        begun.append(number)
        return b"%d" % number

    for number, _ in done_parts(None, range(5), load, work=_work, make=_make, in_order=True):
        assert begun == list(range(number + 1))
