"""The Model Context Protocol (https://modelcontextprotocol.io): the tools over stdio and at /mcp."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from crossrank import __version__
from crossrank.errors import MissingExtraError
from crossrank.server.leaving import CallerLeft
from crossrank.server.request import RequestError
from crossrank.server.search_threads import SearchThreads
from crossrank.server.searching import IndexSearch
from crossrank.server.tools import TOOLS, instructions

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI
    from mcp.server.lowlevel import Server
    from starlette.types import Receive, Scope, Send

_log = logging.getLogger("crossrank.server")
# The SDK reads bodies on the event loop. A thousand documents of a few pages fit.
_MAX_BODY = 8_000_000
_TOOLS = {tool.name: tool for tool in TOOLS}


def create_server(
    search: IndexSearch, threads: SearchThreads, count: Callable[[int], None] | None = None
) -> Server[Any]:
    """The protocol's server.

    Args:
        search: The index.
        threads: Where tools run.
        count: Called with an HTTP status for each call of a tool.

    Raises:
        MissingExtraError: The SDK is not installed.
    """
    try:
        from mcp.server.lowlevel import Server
    except ImportError as error:
        raise MissingExtraError("the Model Context Protocol", "mcp") from error
    from mcp import types

    hints = types.ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    listed = [
        types.Tool(
            name=tool.name,
            title=tool.title,
            description=tool.description,
            input_schema=tool.input_schema,
            output_schema=tool.output_schema,
            annotations=hints,
        )
        for tool in TOOLS
    ]

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(_: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            with threads.admitted() as executor:
                result = await _call(search, asked.name, asked.arguments or {}, executor)
        except RequestError as error:
            if count:
                count(error.status)
            return types.CallToolResult(
                content=[types.TextContent(type="text", text=str(error))], is_error=True
            )
        if count:
            count(200)
        text = json.dumps(result, ensure_ascii=False)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], structured_content=result
        )

    return Server(
        "crossrank",
        version=__version__,
        title="crossrank",
        instructions=instructions(search),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def run_stdio(server: Server[Any]) -> None:
    """Serve over standard input and output until the input ends."""
    from mcp.server.stdio import stdio_server

    async def run() -> None:
        # Standard output is the protocol's alone: the SDK points it at standard error for everyone else.
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    asyncio.run(run())


def mcp_routes(
    search: IndexSearch, threads: SearchThreads, max_body: int, count: Callable[[int], None]
) -> APIRouter:
    """The route /mcp, for FastAPI. The SDK is imported at the first request, since that takes a second.

    Args:
        search: The index.
        threads: Where tools run.
        max_body: Maximum size of a request body in bytes.
        count: Called with an HTTP status for each call of a tool.
    """
    from fastapi import APIRouter
    from starlette.routing import Route

    endpoint = _Endpoint(lambda: create_server(search, threads, count), search, min(max_body, _MAX_BODY))
    router = APIRouter(lifespan=endpoint.lifespan)
    router.routes.append(Route("/mcp", endpoint))
    return router


class _Endpoint:
    """The ASGI application at /mcp."""

    def __init__(self, make: Callable[[], Server[Any]], search: IndexSearch, max_body: int) -> None:
        self._make, self._search, self._max_body = make, search, max_body
        self._started: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[tuple[Server[Any], Any]]
        self._ending = asyncio.Event()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        yield
        self._ending.set()
        if self._started is not None:
            await self._started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import JSONResponse

        if self._started is None:
            self._ready = asyncio.get_running_loop().create_future()
            self._started = asyncio.create_task(self._run())
        try:
            server, manager = await asyncio.shield(self._ready)
        except MissingExtraError as error:
            await JSONResponse({"error": str(error)}, 501)(scope, receive, send)
            return
        server.instructions = await asyncio.to_thread(instructions, self._search)
        await manager.handle_request(scope, receive, send)

    async def _run(self) -> None:
        """Keep the SDK's sessions, which live in a task of their own, until the end."""
        try:
            server, manager = await asyncio.to_thread(self._create)
        except Exception as error:
            self._ready.set_exception(error)
            return
        async with manager.run():
            self._ready.set_result((server, manager))
            await self._ending.wait()

    def _create(self) -> tuple[Server[Any], Any]:
        server = self._make()
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        # Without sessions: no request depends on an earlier one, and any number of servers may share them.
        return server, StreamableHTTPSessionManager(
            app=server, json_response=True, stateless=True, max_request_body_size=self._max_body
        )


async def _call(
    search: IndexSearch, name: str, arguments: Mapping[str, Any], executor: Executor
) -> dict[str, Any]:
    """Call a tool in another thread; its work ends when the call is cancelled.

    Raises:
        RequestError: It cannot be answered; the message is one sentence.
    """
    tool = _TOOLS.get(name)
    if tool is None:
        raise RequestError(404, f"there is no tool {name!r:.60}; the tools are {', '.join(_TOOLS)}")
    left = threading.Event()

    def progress(_: int) -> None:
        if left.is_set():
            raise CallerLeft

    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, tool.call, search, arguments, progress)
    except RequestError:
        raise
    except Exception as error:
        _log.exception("the tool %s failed", name)
        raise RequestError(500, f"something unexpected went wrong ({type(error).__name__})") from error
    finally:
        left.set()
