"""How the server listens, and how many searches it takes."""

from __future__ import annotations

import socket

import pytest

from crossrank.server.request import RequestError
from crossrank.server.running import listen
from crossrank.server.search_threads import SearchThreads


def test_no_answer_waits_for_an_acknowledgement() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_searches_beyond_the_limit_are_told_to_come_back() -> None:
    threads = SearchThreads(threads=1, waiting=1)
    with threads.admitted(), threads.admitted():
        with (
            pytest.raises(RequestError, match="2 searches are being answered") as refused,
            threads.admitted(),
        ):
            pass
        assert (refused.value.status, refused.value.retry_after) == (429, 1)
    with threads.admitted() as executor:
        assert executor.submit(lambda: 3).result() == 3
