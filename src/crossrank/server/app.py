"""The HTTP application: each wire format at its paths, and GET /ping, which says whether there is a model."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from crossrank.errors import CrossrankError
from crossrank.server.answering import answer_body
from crossrank.server.body import read_body
from crossrank.server.leaving import CallerLeft, run_while_connected
from crossrank.server.request import RequestError
from crossrank.server.wire import WireFormat
from crossrank.server.wire.sagemaker import SageMaker

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder

_log = logging.getLogger("crossrank.server")
# What nginx logs for a caller that left; nobody reads the answer.
_CALLER_LEFT = 499
WIRES: tuple[WireFormat, ...] = (SageMaker(),)
"""The formats that ``crossrank serve`` speaks."""


class LoadedModel:
    """The model once it is loaded, or the reason why it is not.

    Args:
        load: Loads the model; called in another thread.
    """

    def __init__(self, load: Callable[[], CrossEncoder]) -> None:
        self._load = load
        self._model: CrossEncoder | None = None
        self._problem = "the model is loading"

    def load(self) -> None:
        """Load the model; loading also checks that its scores are finite (``inference.loading``)."""
        try:
            self._model = self._load()
        except CrossrankError as error:
            self._problem = str(error)
        except Exception as error:  # any error is reported by /ping
            self._problem = f"the model cannot be loaded ({type(error).__name__}: {error})"
        if self._model is None:
            _log.error("%s; /ping answers 503", self._problem)
        else:
            for notice in self._model.notices:
                _log.warning("%s", notice)
            _log.info("%s is loaded", self._model.name)

    def get(self) -> CrossEncoder:
        """The model.

        Raises:
            RequestError: The model is not loaded; the message says why.
        """
        if self._model is None:
            raise RequestError(503, self._problem)
        return self._model


def create_app(
    load: Callable[[], CrossEncoder], *, max_body: int, wires: Iterable[WireFormat] = WIRES
) -> FastAPI:
    """Create the application; it answers requests while the model is still loading.

    Args:
        load: Loads the model.
        max_body: Maximum size of a request body in bytes.
        wires: The wire formats to serve, each at its own paths.
    """
    model = LoadedModel(load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # A daemon: a download that takes its time must not keep a process that is told to end.
        threading.Thread(target=model.load, daemon=True).start()
        yield

    # No pages: an endpoint has no business serving scripts of a content network.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/ping")
    async def ping() -> Response:
        try:
            model.get()
        except RequestError as error:
            return _refused(SageMaker(), error)
        return Response(status_code=200)

    for wire in wires:
        for path in wire.paths:
            app.post(path)(_endpoint(wire, model, max_body))

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
            return _refused(wire, error)
        return Response(answer, media_type=answer_type)

    return endpoint


def _refused(wire: WireFormat, error: RequestError) -> Response:
    return JSONResponse(wire.error(error), error.status)
