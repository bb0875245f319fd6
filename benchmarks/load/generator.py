"""The load generator: HTTP over kept connections, in a process of its own.

    python -m benchmarks.load.generator URL --clients 32 --seconds 6
    python -m benchmarks.load.generator URL --rate 300 --seconds 6

With ``--clients``, each client sends its next request when it has its answer. With ``--rate``, requests come
at fixed intervals whatever the server does, each on a connection that is free, or on a new one. The generator
only keeps what came; answers are parsed when the time is over. Its own processor time is in its result.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.load.requests import make_requests


@dataclass
class Sent:
    """A request that was sent, and its answer.

    Attributes:
        number: Which request.
        began: When it was sent.
        ended: When its answer was there.
        status: The HTTP status; 0 without an answer.
        body: The answer.
    """

    number: int
    began: float
    ended: float = 0.0
    status: int = 0
    body: bytes = field(default=b"", repr=False)


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._end = 0
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        if self._answer and not self._answer.done():
            self._answer.set_result((0, b""))

    def send(self, message: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request; its status and body, or 0 if the connection is closed."""
        self._received.clear()
        self._end = 0
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._answer.set_result((0, b""))
        else:
            self._transport.write(message)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._received += data
        if not self._end:
            head, found, _ = bytes(self._received).partition(b"\r\n\r\n")
            if not found:
                return
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            self._status, self._start = int(head[9:12]), len(head) + 4
            self._end = self._start + int(length)
        if len(self._received) >= self._end and self._answer and not self._answer.done():
            self._answer.set_result((self._status, bytes(self._received[self._start :])))


class Load:
    """The requests, and what became of them.

    Args:
        url: Where to send them.
        numbers: Which request comes next.
        messages: All requests, with their HTTP heads.
    """

    def __init__(self, url: str, numbers: Iterator[int], messages: list[bytes]) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._numbers, self._messages = numbers, messages
        self.sent: list[Sent] = []

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, self._host, self._port))[1]

    async def _ask(self, connection: Connection) -> Sent:
        sent = Sent(next(self._numbers), time.perf_counter())
        sent.status, sent.body = await connection.send(self._messages[sent.number])
        sent.ended = time.perf_counter()
        self.sent.append(sent)
        return sent

    async def closed(self, clients: int, seconds: float) -> None:
        """So many clients, each with one request at a time."""
        connections = [await self._connect() for _ in range(clients)]
        end = time.perf_counter() + seconds

        async def client(connection: Connection) -> None:
            while time.perf_counter() < end:
                if (await self._ask(connection)).status == 0:
                    connection = await self._connect()

        await asyncio.gather(*map(client, connections))

    async def open(self, rate: float, seconds: float) -> None:
        """So many requests a second."""
        idle: list[Connection] = []
        began = time.perf_counter()

        async def one() -> None:
            connection = idle.pop() if idle else await self._connect()
            if (await self._ask(connection)).status:
                idle.append(connection)

        async with asyncio.TaskGroup() as tasks:
            for number in range(round(rate * seconds)):
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
                tasks.create_task(one())


def message(url: str, body: bytes) -> bytes:
    """A POST request."""
    address = urlsplit(url)
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Print what came, as JSON: for each request its number, times, status and scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--passages", type=int, required=True)
    parser.add_argument("--start", type=int, default=0, help="the number of the first request")
    options = parser.parse_args()
    count = options.requests
    bodies = [request.body() for request in make_requests(count, options.passages)]
    numbers = ((options.start + place) % count for place in range(sys.maxsize))
    load = Load(options.url, numbers, [message(options.url, body) for body in bodies])
    used = time.process_time()
    began = time.perf_counter()
    asyncio.run(
        load.open(options.rate, options.seconds)
        if options.rate
        else load.closed(options.clients, options.seconds)
    )
    result = {
        "seconds": max(one.ended for one in load.sent) - began,
        "processor_seconds": time.process_time() - used,
        "sent": [
            [
                one.number,
                one.ended - one.began,
                one.status,
                scores_of(one.body) if one.status == 200 else None,
            ]
            for one in load.sent
        ],
    }
    json.dump(result, sys.stdout)


def scores_of(body: bytes) -> list[float]:
    """The scores of an answer in the order of the passages."""
    rows = sorted(json.loads(body)["results"], key=lambda row: row["index"])
    return [row["relevance_score"] for row in rows]


if __name__ == "__main__":
    main()
