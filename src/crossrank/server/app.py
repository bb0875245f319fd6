"""The HTTP application: wire formats at their paths, the server's own description, and added routes."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from crossrank.server.answering import answer_body
from crossrank.server.body import read_body
from crossrank.server.describing import describing
from crossrank.server.leaving import CallerLeft, run_while_connected
from crossrank.server.mcp import mcp_routes
from crossrank.server.models import LoadedModel
from crossrank.server.page import page_routes
from crossrank.server.request import RequestError
from crossrank.server.search_routes import search_routes
from crossrank.server.searching import IndexSearch
from crossrank.server.wire import WireFormat
from crossrank.server.wire.catalogue import WIRES
from crossrank.server.wire.json_format import JsonFormat
from crossrank.server.wire.shared import Shared

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder

_log = logging.getLogger("crossrank.server")
# What nginx logs for a caller that left; nobody reads the answer.
_CALLER_LEFT = 499


def create_app(
    load: Callable[[], CrossEncoder],
    *,
    max_body: int,
    index: Path | None = None,
    wires: Iterable[WireFormat] = WIRES,
) -> FastAPI:
    """Create the application; it answers requests while the model is still loading.

    Args:
        load: Loads the model.
        max_body: Maximum size of a request body in bytes.
        index: The index to search.
        wires: The wire formats to serve, each at its own paths.
    """
    model = LoadedModel(load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        model.start()
        yield

    # No pages of FastAPI: they load scripts from a content network.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, title="crossrank")
    search = IndexSearch(index, model.get)
    app.include_router(search_routes(search, max_body))
    app.include_router(mcp_routes(search, max_body))
    app.include_router(page_routes())
    app.include_router(describing(model))
    for wire in wires:
        for path in wire.paths:
            app.post(path, **_documented(wire))(_endpoint(wire, model, max_body))

    @app.exception_handler(CallerLeft)
    @app.exception_handler(ClientDisconnect)
    async def give_up(_: Request, error: Exception) -> Response:
        _log.info("%s", str(error) or "a caller left before its request was whole")
        return Response(status_code=_CALLER_LEFT)

    return app


def _endpoint(
    wire: WireFormat, model: LoadedModel, max_body: int
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        content_type, accept = request.headers.get("content-type"), request.headers.get("accept")
        try:
            body = await read_body(request, max_body)
            loaded = model.get()
            answer, answer_type = await run_while_connected(
                request,
                lambda progress: answer_body(wire, loaded, body, content_type, accept, progress=progress),
            )
        except RequestError as error:
            return _refused(error.wire or wire, error)
        return Response(answer, media_type=answer_type)

    return endpoint


def _refused(wire: WireFormat, error: RequestError) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return JSONResponse(wire.error(error), error.status, headers=headers)


def _documented(wire: WireFormat) -> dict[str, Any]:
    """What OpenAPI says of a wire format."""
    formats = wire.formats if isinstance(wire, Shared) else [wire] if isinstance(wire, JsonFormat) else []
    names = [format_.name for format_ in formats] or [type(wire).__name__]
    content: dict[str, Any] = {"application/json": {"schema": {}}}
    if formats:
        schemas = [format_.schema for format_ in formats]
        content["application/json"] = {
            "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
            "examples": {format_.name: {"value": format_.example} for format_ in formats},
        }
    return {
        "summary": f"Rerank ({', '.join(names)})",
        "tags": ["rerank"],
        "response_model": None,
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }
