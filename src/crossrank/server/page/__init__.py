"""The page at /: search in a browser. Its files are served as they are; there is no build step."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, Request, Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# The page shows texts of strangers: it runs no script but its own, loads nothing from elsewhere, and its
# scripts cannot turn a text into HTML.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Asked for again each time, and answered with 304 while it is the same.
    "Cache-Control": "no-cache",
}


def page_routes() -> APIRouter:
    """The routes of the page: / and its files in /page/."""
    router = APIRouter(include_in_schema=False)
    for file in files(__package__).iterdir():
        if content_type := _TYPES.get(PurePath(file.name).suffix):
            path = "/" if file.name == "index.html" else f"/page/{file.name}"
            router.add_api_route(path, _serving(file.read_bytes(), content_type), methods=["GET", "HEAD"])
    return router


def _serving(content: bytes, content_type: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {**_HEADERS, "ETag": tag}

    async def serve(request: Request) -> Response:
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=content_type, headers=headers)

    return serve
