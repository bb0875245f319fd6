"""A server on this machine that answers as SageMaker's runtime does, and fails as it does when asked to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What the server says to one request.

    Attributes:
        body: JSON where it is no bytes.
        status: The HTTP status.
        error: The error's name, which AWS puts into ``x-amzn-errortype``.
        seconds: Wait so long before.
        until: Wait for this before.
        close: Close the connection instead.
    """

    body: Any = None
    status: int = 200
    error: str | None = None
    seconds: float = 0.0
    until: threading.Event | None = None
    close: bool = False


def throttled() -> Answer:
    return Answer({"message": "Rate exceeded"}, 400, "ThrottlingException")


def not_ready() -> Answer:
    return Answer({"Message": "The model is still being loaded"}, 429, "ModelNotReadyException")


def model_error(status: int, message: str) -> Answer:
    body = {
        "Message": f'Received client error ({status}) from primary with message "{message}".',
        "OriginalStatusCode": status,
        "OriginalMessage": message,
        "LogStreamArn": "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/Endpoints/bakery",
    }
    return Answer(body, 424, "ModelError")


def lengths(pairs: list[list[str]]) -> list[float]:
    """Scores that tell every pair from another and are exact in float32."""
    return [len(query) + len(passage) / 1024 for query, passage in pairs]


@dataclass
class Endpoint:
    """A running server.

    Attributes:
        url: Its address.
        answers: What it says to the requests that come first, by number from 0; others are scored.
        choose: Asked otherwise what it says to the pairs of a request; None for nothing special.
        score: From pairs to scores.
        raw: Answers a body, its content type and what is accepted, instead of ``score``: a handler.
        key: The name of the pairs in a request; another is the TypeError of the notebook's server.
        requests: The requests so far, as JSON.
        sizes: Their bytes.
        headers: Their headers.
        most_at_once: The most requests that were answered at one time.
    """

    url: str = ""
    answers: dict[int, Answer] = field(default_factory=dict)
    choose: Callable[[list[list[str]]], Answer | None] = lambda pairs: None
    score: Callable[[list[list[str]]], list[Any]] = lengths
    key: str = "pairs"
    raw: Callable[[bytes, str, str], bytes] | None = None
    seconds: float = 0.0
    requests: list[Any] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, *answers: Answer) -> None:
        """Say this to the first requests."""
        self.answers = dict(enumerate(answers))

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        with self._lock:
            number = len(self.requests)
            self.requests.append(json.loads(body))
            self.sizes.append(len(body))
            self.paths.append(path)
            self.headers.append(headers)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            if number in self.answers:
                return self.answers[number]
            time.sleep(self.seconds)
            if self.raw:
                return Answer(self.raw(body, headers["Content-Type"], headers["Accept"]))
            if list(self.requests[number]) != [self.key]:
                return model_error(500, "__call__() got an unexpected keyword argument")
            pairs = self.requests[number][self.key]
            return self.choose(pairs) or Answer({"scores": self.score(pairs)})
        finally:
            with self._lock:
                self._now -= 1


@contextmanager
def running_endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = endpoint.answer(self.path, dict(self.headers), body)
            time.sleep(answer.seconds)
            if answer.until is not None:
                answer.until.wait()
            if answer.close:
                self.close_connection = True
                return
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            try:
                self.send_response(answer.status)
                if answer.error:
                    self.send_header("x-amzn-errortype", answer.error)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:
                pass  # the client did not wait

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
