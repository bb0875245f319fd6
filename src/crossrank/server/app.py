"""The HTTP application: wire formats at their paths, the server's own description, and added routes."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from crossrank.server.answering import answers_of, as_request_error, cut_of, pairs_of
from crossrank.server.body import BodyMemory, read_body
from crossrank.server.describing import describing
from crossrank.server.leaving import CallerLeft, finished, run_while_connected
from crossrank.server.limits import LIMITS, Limits
from crossrank.server.mcp import mcp_routes
from crossrank.server.metrics import Metrics
from crossrank.server.models import Models, ServedModel
from crossrank.server.page import page_routes
from crossrank.server.queue.job import Scored
from crossrank.server.queue.scheduler import BusyError
from crossrank.server.queued import queued
from crossrank.server.reading import answers_by_reading, needs_reading
from crossrank.server.request import RequestError, RerankRequest
from crossrank.server.search_routes import search_routes
from crossrank.server.search_threads import SearchThreads
from crossrank.server.searching import IndexSearch
from crossrank.server.wire import Call, WireFormat
from crossrank.server.wire.catalogue import WIRES
from crossrank.server.wire.json_format import JsonFormat
from crossrank.server.wire.sagemaker import SageMaker
from crossrank.server.wire.shared import Shared

_log = logging.getLogger("crossrank.server")
_T = TypeVar("_T")
# What nginx logs for a caller that left; nobody reads the answer.
_CALLER_LEFT = 499
# Smaller work is done faster than it is handed to a thread.
_SMALL_BODY, _FEW_DOCUMENTS = 200_000, 500
_SECONDS_BETWEEN_UNLOADS = 5.0
# How many bodies of the maximum size are held at a time.
_BODIES = 10


def create_app(
    models: Models,
    *,
    metrics: Metrics,
    limits: Limits = LIMITS,
    index: Path | None = None,
    wires: Iterable[WireFormat] = WIRES,
) -> FastAPI:
    """Create the application; it answers requests while the models are still loading.

    Args:
        models: The models.
        metrics: What is counted.
        limits: The limits of requests.
        index: The index to search.
        wires: The wire formats to serve, each at its own paths.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        models.start()
        unloading = asyncio.create_task(_unload_idle(models))
        yield
        unloading.cancel()
        await asyncio.to_thread(models.close)

    # No pages of FastAPI: they load scripts from a content network.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, title="crossrank")
    search = IndexSearch(index, queued(models.default))
    threads = SearchThreads()
    memory = BodyMemory(limits.max_body, _BODIES * limits.max_body)
    # First, since FastAPI tries one route after the other, which takes it longer than reading a request.
    for wire in wires:
        endpoint = _endpoint(wire, models, metrics, limits, memory, threads)
        for path in wire.paths:
            app.post(path, **_documented(wire))(endpoint)
    for routes, api in ((search_routes, "search"), (mcp_routes, "mcp")):
        app.include_router(routes(search, threads, limits.max_body, partial(_count, metrics, api)))
    app.include_router(page_routes())
    app.include_router(describing(models, metrics, limits))

    @app.exception_handler(CallerLeft)
    @app.exception_handler(ClientDisconnect)
    async def give_up(_: Request, error: Exception) -> Response:
        _log.info("%s", str(error) or "a caller left before its request was whole")
        return Response(status_code=_CALLER_LEFT)

    return app


def _count(metrics: Metrics, api: str, status: int) -> None:
    metrics.requests.add(1, api, str(status))


async def _unload_idle(models: Models) -> None:
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_UNLOADS)
        for model in models:
            await asyncio.to_thread(model.unload_if_idle)


def _endpoint(
    wire: WireFormat,
    models: Models,
    metrics: Metrics,
    limits: Limits,
    memory: BodyMemory,
    threads: SearchThreads,
) -> Callable[[Request], Awaitable[Response]]:
    # SageMaker limits requests itself, and a batch transform may send as much as fits into a body.
    limited = not isinstance(wire, SageMaker)

    async def answered(request: Request) -> Response:
        body = await read_body(request, limits.max_body)
        began = time.perf_counter()
        content_type, accept = request.headers.get("content-type"), request.headers.get("accept")
        call = await _off_loop(len(body) > _SMALL_BODY, lambda: wire.read(body, content_type, accept))
        body, requests = b"", call.requests
        try:
            if limited:
                _check(requests, limits)
            served = models.find(requests[0].model if requests else None)
            if needs_reading(requests):
                return await reading(request, call, served, began)
            pairs = pairs_of(requests)
            cut = cut_of(requests, limits.max_tokens if limited else None)
            model, scheduler, job = await _off_loop(
                not served.is_loaded, lambda: served.submit(pairs, cut, patient=not limited)
            )
            scored = await finished(job, scheduler, request, deadline=limits.timeout if limited else None)
            answer = await _off_loop(
                len(pairs) > _FEW_DOCUMENTS,
                lambda: call.write(answers_of(requests, scored, model, served.name)),
            )
        except (CallerLeft, asyncio.CancelledError):
            raise
        except Exception as error:
            refusal = _refusal(error, requests)
            refusal.wire = call.wire
            raise refusal from error
        seconds = time.perf_counter() - began
        metrics.requests.add(1, api_name(call.wire), "200")
        metrics.observe_request(scored, seconds)
        return Response(answer, media_type=call.answer_type, headers=_timing(requests, scored, seconds))

    async def reading(request: Request, call: Call, served: ServedModel, began: float) -> Response:
        """The answer to a request that takes several calls of the model."""
        requests, end = call.requests, time.monotonic() + limits.timeout

        def work(progress: Callable[[int], None]) -> tuple[bytes, Scored]:
            def checked(count: int) -> None:
                progress(count)
                if time.monotonic() > end:
                    raise BusyError(f"there was no answer within {limits.timeout:g} seconds", retry_after=1)

            answers, scored = answers_by_reading(requests, served, limits.max_tokens, checked)
            return call.write(answers), scored

        with threads.admitted() as executor:
            answer, scored = await run_while_connected(request, work, executor)
        seconds = time.perf_counter() - began
        metrics.requests.add(1, api_name(call.wire), "200")
        metrics.observe_request(scored, seconds)
        return Response(answer, media_type=call.answer_type, headers=_timing(requests, scored, seconds))

    async def endpoint(request: Request) -> Response:
        try:
            with memory.of(request):
                return await answered(request)
        except RequestError as error:
            used = error.wire or wire
            metrics.requests.add(1, api_name(used), str(error.status))
            _log.info("%s was answered with %d", request.url.path, error.status)
            return _refused(used, error)

    return endpoint


async def _off_loop(much: bool, work: Callable[[], _T]) -> _T:
    """Do work on another thread if it is much, so that it does not block the event loop."""
    return await asyncio.to_thread(work) if much else work()


def _check(requests: Iterable[RerankRequest], limits: Limits) -> None:
    documents = sum(len(request.documents) for request in requests)
    if documents > limits.max_documents:
        raise RequestError(
            413,
            f"the request has {documents:,} documents; this server takes {limits.max_documents:,} "
            "(crossrank serve --max-documents). Send them in several requests.",
        )


def _refusal(error: Exception, requests: Sequence[RerankRequest]) -> RequestError:
    refusal = as_request_error(error, requests)
    if refusal.status == 500:
        # Not its text, which may quote a document.
        _log.error("a request failed: %s", type(error).__name__)
    return refusal


def api_name(wire: WireFormat) -> str:
    """The name of a wire format in metrics."""
    return wire.name if isinstance(wire, JsonFormat) else type(wire).__name__


def _refused(wire: WireFormat, error: RequestError) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return JSONResponse(wire.error(error), error.status, headers=headers)


def _timing(requests: Iterable[RerankRequest], scored: Scored, seconds: float) -> dict[str, str]:
    """TEI's headers, times in milliseconds."""
    characters = sum(
        len(request.query) + sum(len(document.text) for document in request.documents) for request in requests
    )
    times = {
        "x-compute-time": seconds,
        "x-total-time": seconds,
        "x-tokenization-time": scored.tokenisation,
        "x-queue-time": scored.waiting,
        "x-inference-time": scored.inference,
    }
    return {
        "x-compute-characters": str(characters),
        "x-compute-tokens": str(int(scored.tokens.sum())),
        **{name: f"{1000 * value:.0f}" for name, value in times.items()},
    }


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
        "responses": {
            status: {"description": text, "content": {"application/json": {}}}
            for status, text in _STATUSES.items()
        },
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }


_STATUSES = {
    400: "The request is wrong; the message says how",
    401: "The key is missing or wrong",
    404: "There is no such model (--strict-model-names)",
    413: "The request is too large",
    422: "A field is wrong (TEI)",
    429: "The server is busy; Retry-After says when to try again",
    500: "The model failed",
    503: "The model is loading, or cannot be loaded",
}
