"""Threads for searches, and a limit of those that wait for one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

from crossrank.server.request import RequestError

# Searches wait for the disk and for the queue of the model, so there are more threads than processors.
_THREADS = 16
_MOST_WAITING = 64


class SearchThreads:
    """Threads that searches alone run on, so that a server full of them answers other requests.

    Used on the event loop's thread alone.

    Args:
        threads: How many searches run at once.
        waiting: How many more are taken.
    """

    def __init__(self, threads: int = _THREADS, waiting: int = _MOST_WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads, "search")
        self._most = threads + waiting
        self._admitted = 0

    @contextmanager
    def admitted(self) -> Iterator[Executor]:
        """Where to run one search.

        Raises:
            RequestError: Too many are waiting (429).
        """
        if self._admitted >= self._most:
            raise RequestError(
                429, f"{self._admitted} searches are being answered; try again in a second", retry_after=1
            )
        self._admitted += 1
        try:
            yield self._executor
        finally:
            self._admitted -= 1
