"""The bodies of requests, up to limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crossrank.server.request import RequestError

if TYPE_CHECKING:
    from fastapi import Request

_SECONDS_WITHOUT_A_BYTE = 30.0


class BodyMemory:
    """The bytes of all bodies that a server holds, which bound the memory that clients can make it use.

    Args:
        largest: The maximum size of one body, which one of unknown size counts as.
        total: The maximum of all of them.
    """

    def __init__(self, largest: int, total: int) -> None:
        self._largest, self._total = largest, total
        self._held = 0

    @contextmanager
    def of(self, request: Request) -> Iterator[None]:
        """Hold the body of a request until the block ends.

        Raises:
            RequestError: There is no room for it (429).
        """
        declared = request.headers.get("content-length", "")
        size = (
            min(int(declared), self._largest) if declared.isascii() and declared.isdigit() else self._largest
        )
        if self._held and self._held + size > self._total:
            raise RequestError(429, "the server is busy with large requests; try again later", retry_after=5)
        self._held += size
        try:
            yield
        finally:
            self._held -= size


async def read_body(
    request: Request,
    limit: int,
    advice: str = "(crossrank serve --max-body). Send the pairs in several requests.",
) -> bytes:
    """Read a body whole.

    What is refused is read without being kept: a caller that is still sending would otherwise see a broken
    connection and not the answer.

    Args:
        request: The request.
        limit: Maximum size in bytes.
        advice: The end of the message about a body that is too large.

    Raises:
        RequestError: It has more than ``limit`` bytes (413), is compressed (415), or stops coming (408).
        starlette.requests.ClientDisconnect: The caller left.
    """
    is_compressed = request.headers.get("content-encoding", "identity").lower() not in {"identity", ""}
    parts: list[bytes] = []
    size = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_SECONDS_WITHOUT_A_BYTE):
                part = await anext(stream)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise RequestError(
                408, f"nothing more of the body came within {_SECONDS_WITHOUT_A_BYTE:g} seconds"
            ) from None
        size += len(part)
        if size <= limit and not is_compressed:
            parts.append(part)
        else:
            parts.clear()
    if is_compressed:
        raise RequestError(415, "compressed bodies are not read; send it without Content-Encoding")
    if size > limit:
        raise RequestError(
            413,
            f"the body has {size:,} bytes; this server takes {limit:,} {advice}",
        )
    return b"".join(parts)
