"""A Hugging Face Hub on the loopback, as far as downloads of models need one."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What is served, and what was asked for.

    Attributes:
        url: The value for HF_ENDPOINT.
        models: A folder for each repository name.
        gated: Repositories whose files need terms to be accepted.
        downloads: Files that were sent whole, in order.
        requests: Every request, as "METHOD path".
        tokens: The tokens that came with requests; None for a request without.
    """

    url: str = ""
    models: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    downloads: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)


@contextmanager
def serve_hub(**models: Path) -> Iterator[Hub]:
    """Serve folders as ``tests/NAME`` until the block ends."""
    hub = Hub(models={f"tests/{name}": folder for name, folder in models.items()})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            hub.tokens.add(self.headers.get("Authorization"))
            path = self.path.partition("?")[0].strip("/")
            in_api = path.startswith("api/models/")
            parts = path.removeprefix("api/models/").split("/")
            name, rest = "/".join(parts[:2]), parts[2:]
            if name not in hub.models:
                self._send(
                    404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
                )
            elif in_api:
                self._send(200, json.dumps(self._describe(name, rest)).encode(), {})
            elif name in hub.gated:
                self._send(
                    403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
                )
            else:
                self._file(hub.models[name], "/".join(rest[2:]))

        def _describe(self, name: str, rest: list[str]) -> object:
            folder = hub.models[name]
            files = sorted(
                file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
            )
            if rest[:1] == ["tree"]:
                return [
                    {"type": "file", "path": file, "size": (folder / file).stat().st_size, "oid": COMMIT}
                    for file in files
                ]
            siblings = [{"rfilename": file} for file in files]
            return {"id": name, "sha": COMMIT, "private": False, "siblings": siblings, "tags": []}

        def _file(self, folder: Path, file: str) -> None:
            if not (folder / file).is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                return
            content = (folder / file).read_bytes()
            if self.command == "GET":
                hub.downloads.append(file)
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self._send(200, content, {"ETag": etag, "X-Repo-Commit": COMMIT})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment(hub: Hub, home: Path) -> dict[str, str]:
    """This Hub and a cache of its own, and no other network settings."""
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "CROSSRANK_OFFLINE": "0"}
    return settings | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
