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
        gated: Repositories whose files need terms to be accepted: without a token the answer is 401, with one
            403.
        moved: The new names of repositories by their old ones, which are redirected.
        revisions: What other revisions than main hold, by repository and revision; a repository that is not
            here has every revision.
        refused_tokens: Tokens that are not valid.
        downloads: Files that were sent whole, in order.
        requests: Every request, as "METHOD path".
        tokens: The tokens that came with requests; None for a request without.
    """

    url: str = ""
    models: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)
    revisions: dict[str, dict[str, Path]] = field(default_factory=dict)
    refused_tokens: set[str] = field(default_factory=set)
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
            token = self.headers.get("Authorization")
            hub.tokens.add(token)
            path = self.path.partition("?")[0].strip("/")
            in_api = path.startswith("api/models/")
            parts = path.removeprefix("api/models/").split("/")
            name, rest = "/".join(parts[:2]), parts[2:]
            if token in {f"Bearer {refused}" for refused in hub.refused_tokens}:
                self._refuse(401, None, "Invalid credentials in Authorization header")
            elif name in hub.moved:
                self._send(307, b"", {"Location": self.path.replace(name, hub.moved[name], 1)})
            elif name not in hub.models:
                self._refuse(401 if token is None else 404, "RepoNotFound", "Repository not found")
            elif (folder := self._folder(name, rest[1] if len(rest) > 1 else "main")) is None:
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {rest[1]}")
            elif in_api:
                self._send(200, json.dumps(self._describe(name, *folder, rest)).encode(), {})
            elif name in hub.gated and token is None:
                message = (
                    f"Access to model {name} is restricted. You must have access to it and be authenticated"
                )
                self._refuse(401, "GatedRepo", message)
            elif name in hub.gated:
                message = f"Access to model {name} is restricted and you are not in the authorized list."
                self._refuse(403, "GatedRepo", message)
            else:
                self._file(*folder, "/".join(rest[2:]))

        def _folder(self, name: str, revision: str) -> tuple[Path, str] | None:
            """What a revision holds, and its commit."""
            known = {commit_of(each): folder for each, folder in hub.revisions.get(name, {}).items()}
            if revision in {"main", COMMIT} or name not in hub.revisions:
                return hub.models[name], COMMIT
            commit = revision if revision in known else commit_of(revision)
            return (known[commit], commit) if commit in known else None

        def _describe(self, name: str, folder: Path, commit: str, rest: list[str]) -> object:
            files = sorted(
                file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
            )
            if rest[:1] == ["tree"]:
                return [
                    {"type": "file", "path": file, "size": (folder / file).stat().st_size, "oid": commit}
                    for file in files
                ]
            siblings = [{"rfilename": file} for file in files]
            return {"id": name, "sha": commit, "private": False, "siblings": siblings, "tags": []}

        def _file(self, folder: Path, commit: str, file: str) -> None:
            if not (folder / file).is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
                return
            content = (folder / file).read_bytes()
            if self.command == "GET":
                hub.downloads.append(file)
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self._send(200, content, {"ETag": etag, "X-Repo-Commit": commit})

        def _refuse(self, status: int, code: str | None, message: str) -> None:
            # An error of the Hub is in these headers.
            named = {"X-Error-Code": code} if code else {}
            self._send(status, b"{}", {**named, "X-Error-Message": message})

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


def commit_of(revision: str) -> str:
    """The commit of a revision other than main."""
    return hashlib.sha1(revision.encode()).hexdigest()


def environment(hub: Hub, home: Path) -> dict[str, str]:
    """This Hub and a cache of its own, and no other network settings."""
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "CROSSRANK_OFFLINE": "0"}
    return settings | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
