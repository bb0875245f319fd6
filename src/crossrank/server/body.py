"""The body of a request, up to a limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crossrank.server.request import RequestError

if TYPE_CHECKING:
    from fastapi import Request

_SECONDS_WITHOUT_A_BYTE = 30.0


async def read_body(
    request: Request,
    limit: int,
    advice: str = "(crossrank serve --max-body). Send the pairs in several requests.",
) -> bytes:
    """Read a body whole.

    What exceeds the limit is read without being kept: a caller that is still sending would otherwise see a
    broken connection and not the answer.

    Args:
        request: The request.
        limit: Maximum size in bytes.
        advice: The end of the message about a body that is too large.

    Raises:
        RequestError: It has more than ``limit`` bytes (413), is compressed (415), or stops coming (408).
        starlette.requests.ClientDisconnect: The caller left.
    """
    if request.headers.get("content-encoding", "identity").lower() not in {"identity", ""}:
        raise RequestError(415, "compressed bodies are not read; send it without Content-Encoding")
    parts: list[bytes] = []
    size = 0
    stream = request.stream()
    while True:
        try:
            part = await asyncio.wait_for(anext(stream), _SECONDS_WITHOUT_A_BYTE)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise RequestError(
                408, f"nothing more of the body came within {_SECONDS_WITHOUT_A_BYTE:g} seconds"
            ) from None
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
    if size > limit:
        raise RequestError(
            413,
            f"the body has {size:,} bytes; this server takes {limit:,} {advice}",
        )
    return b"".join(parts)
