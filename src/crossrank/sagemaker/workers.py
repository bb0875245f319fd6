"""Work on a few threads at a time, which hold nobody up once it is not wanted any more."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_concurrently(
    work: Callable[[Item, threading.Event], Result], items: Sequence[Item], *, threads: int
) -> Iterator[tuple[Item, Result]]:
    """Do something for every item, and give the results as they come.

    Whoever stops asking for results, or gets an error, goes on at once: what has not begun is not begun, and
    the event ends what is under way. Threads are daemons and not a ThreadPoolExecutor's, since Python
    waits for those before it ends, and an answer may take a minute.

    Args:
        work: Called with an item and the event that says that its result is not wanted any more.
        items: The items.
        threads: How many at a time.

    Raises:
        Exception: The first that ``work`` raised.

    Example:
        >>> sorted(run_concurrently(lambda item, stop: 2 * item, [1, 2, 3], threads=2))
        [(1, 2), (2, 4), (3, 6)]
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Item, Result] | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    for item in items:
        waiting.put(item)

    def run() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((item, work(item, stop)))
            except BaseException as error:
                done.put(error)

    try:
        for _ in range(min(threads, len(items))):
            threading.Thread(target=run, name="sagemaker", daemon=True).start()
        for _ in items:
            outcome = done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome
    finally:
        stop.set()
