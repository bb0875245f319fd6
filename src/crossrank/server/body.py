"""The body of a request, up to a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossrank.server.request import RequestError

if TYPE_CHECKING:
    from fastapi import Request


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body whole.

    What exceeds the limit is read without being kept: a caller that is still sending would otherwise see a
    broken connection and not the answer.

    Raises:
        RequestError: It has more than ``limit`` bytes.
        starlette.requests.ClientDisconnect: The caller left.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
    if size > limit:
        raise RequestError(
            413,
            f"the body has {size:,} bytes; this server takes {limit:,} (crossrank serve --max-body). "
            "Send the pairs in several requests.",
        )
    return b"".join(parts)
