"""What is checked before a request is read: its key, and that no foreign page in a browser sends it."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from crossrank.server.keys import Keys
from crossrank.server.request import RequestError
from crossrank.server.wire.json_format import json_bytes
from crossrank.server.wire.results import error_body

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class Guard:
    """An ASGI middleware.

    A page that a browser shows can send requests to servers on the same machine, and by DNS rebinding read
    the answers too. Such requests have the page's origin, or its host name, in their headers.

    Args:
        app: What answers the requests that are let through.
        keys: The accepted keys.
        open_paths: Paths that need no key to be read; with a slash at the end, all below it, too.
        hosts: The names that a request's Host may have, besides those of this machine; None: any.
        origins: Origins of pages that may send requests, besides pages of this server.
    """

    def __init__(
        self,
        app: Asgi,
        *,
        keys: Keys,
        open_paths: Iterable[str] = (),
        hosts: Collection[str] | None = None,
        origins: Collection[str] = (),
    ) -> None:
        self._app, self._keys = app, keys
        paths = list(open_paths)
        self._open = frozenset(paths)
        self._open_below = tuple(path for path in paths if path.endswith("/") and path != "/")
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except RequestError as error:
                await _refuse(error, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self._hosts is not None and not self._is_own(host):
            raise RequestError(
                403,
                f"this server is not {host!r:.100}; if it should be, start it with "
                f"--allow-host {_name_of(host) or 'NAME'}",
            )
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins and urlsplit(origin).netloc != host:
            raise RequestError(
                403,
                f"pages of {origin!r:.100} may not use this server; if they should, start it with "
                "--allow-origin ORIGIN",
            )
        path = scope["path"]
        if scope["method"] in {"GET", "HEAD"} and (path in self._open or path.startswith(self._open_below)):
            return
        if not self._keys.allow(headers):
            raise RequestError(401, "the key is missing or wrong; send it as 'Authorization: Bearer KEY'")

    def _is_own(self, host: str) -> bool:
        assert self._hosts is not None
        name = _name_of(host)
        return name in LOOPBACK_NAMES or name in self._hosts or is_loopback(name)


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK_NAMES


def _name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


async def _refuse(error: RequestError, send: Send) -> None:
    body = json_bytes(error_body(error))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
