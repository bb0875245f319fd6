"""Waiting for an answer for as long as somebody wants it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar

from crossrank.server.queue.job import Job, Scored
from crossrank.server.queue.scheduler import BusyError, Scheduler

if TYPE_CHECKING:
    from fastapi import Request


_T = TypeVar("_T")


class CallerLeft(Exception):  # noqa: N818 - an event, no error
    """The caller left before there was an answer."""


async def run_while_connected(
    request: Request, work: Callable[[Callable[[int], None]], _T], executor: Executor | None = None
) -> _T:
    """Run ``work`` on another thread until it is done or the caller has left.

    Args:
        request: The request, its body read.
        work: Called with a function that it calls with its progress, which raises when the caller has left.
        executor: Where to run it; the event loop's own threads by default.

    Raises:
        CallerLeft: The caller left; the work has ended.
    """
    left = threading.Event()
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if left.is_set():
            raise CallerLeft(_gave_up(done))

    async def watch() -> None:
        await _leaving(request)
        left.set()

    watching = asyncio.create_task(watch())
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, work, progress)
    finally:
        watching.cancel()


async def finished(job: Job, scheduler: Scheduler, request: Request, *, deadline: float | None) -> Scored:
    """Wait until a job is done, its caller has left, or its time is over; then it is dropped.

    Args:
        job: The job.
        scheduler: Its queue.
        request: The HTTP request, its body read.
        deadline: Seconds from its submission; None: any time.

    Raises:
        CallerLeft: The caller left.
        BusyError: The time is over.
        Exception: The job failed.
    """
    future = asyncio.wrap_future(job.future)
    watch = asyncio.create_task(_leaving(request))
    try:
        waited: set[asyncio.Future[Any]] = {future, watch}
        await asyncio.wait(waited, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        scored = f"{job.done:,} of {len(job.pairs):,} documents were scored"
        if watch.done():
            raise CallerLeft(_gave_up(job.done))
        raise BusyError(
            f"there was no answer within {deadline:g} seconds ({scored}); send fewer documents, or try again",
            retry_after=1,
        )
    finally:
        watch.cancel()
        scheduler.cancel(job)


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _gave_up(done: int) -> str:
    return f"a caller left; its request was given up after {done:,} pairs"
