"""SageMaker's runtime before a container on this machine: /endpoints/NAME/invocations to its /invocations."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# No proxy of the environment: all of it stays on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    seconds: float = 120,
) -> tuple[int, bytes, str | None]:
    """GET, or POST where there is a body: status, body and content type of the answer."""
    request = urllib.request.Request(url, body, dict(headers or {}))
    try:
        with _OPENER.open(request, timeout=seconds) as answer:
            return answer.status, answer.read(), answer.headers.get("Content-Type")
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers.get("Content-Type")


@contextmanager
def in_front_of(container: str, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address for boto3's ``endpoint_url``; a container's errors become SageMaker's ModelError."""

    added = headers or {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if self.headers[name]}
            status, answer, content_type = call(f"{container}/invocations", body, {**kept, **added})
            headers = {"Content-Type": content_type or "application/octet-stream"}
            if status != 200:
                said = {"Message": "", "OriginalStatusCode": status, "OriginalMessage": answer.decode()}
                status, answer = 424, json.dumps(said).encode()
                headers = {"Content-Type": "application/json", "x-amzn-errortype": "ModelError"}
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
