"""Work for a caller, ended when the caller leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from fastapi import Request

_T = TypeVar("_T")


class CallerLeft(Exception):  # noqa: N818 - an event, no error
    """The caller left before there was an answer."""


async def run_while_connected(request: Request, work: Callable[[Callable[[int], None]], _T]) -> _T:
    """Run ``work`` on another thread until it is done or the caller has left.

    Args:
        request: The request, its body read.
        work: Called with a function that it calls with its progress, which raises when the caller has left.

    Raises:
        CallerLeft: The caller left; the work has ended.
    """
    left = threading.Event()
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if left.is_set():
            raise CallerLeft(f"a caller left; its request was given up after {done:,} pairs")

    async def leaving() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left.set()

    watch = asyncio.create_task(leaving())
    try:
        return await asyncio.to_thread(work, progress)
    finally:
        watch.cancel()
