"""POST /search, GET /passages/{id} and GET /index."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from crossrank.documents import Document
from crossrank.server.body import read_body
from crossrank.server.leaving import run_while_connected
from crossrank.server.request import RequestError
from crossrank.server.search_request import EXAMPLE, SCHEMA, SearchRequest, read_object
from crossrank.server.search_threads import SearchThreads
from crossrank.server.searching import IndexSearch

# A question and its filters are far below it.
_MAX_BODY = 1_000_000
# The longest text around a passage, on either side.
_MOST_AROUND = 1_000_000
_ERROR: dict[str, Any] = {
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
        }
    }
}


def _answers(found: str, *errors: tuple[int, str]) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the answers of a path."""
    answers: dict[int | str, dict[str, Any]] = {200: {"description": found}}
    for status, text in errors:
        answers[status] = {"description": text, **_ERROR}
    return answers


def search_routes(
    search: IndexSearch, threads: SearchThreads, max_body: int, count: Callable[[int], None]
) -> APIRouter:
    """The routes over an index.

    Args:
        search: The index.
        threads: Where searches run.
        max_body: Maximum size of a request body in bytes.
        count: Called with the HTTP status of each search.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # A daemon: a download that takes its time must not keep a process that should end.
        threading.Thread(target=search.warm_up, daemon=True).start()
        yield

    router = APIRouter(tags=["search"], lifespan=lifespan)

    @router.post(
        "/search",
        summary="Search the index and rerank what is found",
        responses=_answers(
            "A ranking as in docs/ranking.schema.json.",
            (400, "The request cannot be used."),
            (404, "There is no index."),
            (413, "The body is too large."),
            (429, "Too many searches are waiting; Retry-After says when to try again."),
            (503, "The model is loading."),
        ),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": SCHEMA, "example": EXAMPLE}},
            }
        },
    )
    async def search_index(request: Request) -> JSONResponse:
        try:
            body = await read_body(
                request, min(max_body, _MAX_BODY), "for a search. Send a shorter question."
            )
            asked = SearchRequest.of(read_object(body))
            with threads.admitted() as executor:
                ranking = await run_while_connected(
                    request, lambda progress: search.search(asked, progress), executor
                )
        except RequestError as error:
            count(error.status)
            return _refused(error)
        count(200)
        return JSONResponse(ranking.to_dict())

    @router.get(
        "/passages/{passage_id:path}",
        summary="A passage by its id, with the text around it in its file",
        responses=_answers(
            "The passage; with around, also the text before and after it as it was indexed, and whether that "
            "is all of the file.",
            (400, "around cannot be used."),
            (404, "There is no such passage, or no index."),
        ),
        openapi_extra={
            "parameters": [
                {
                    "name": "around",
                    "in": "query",
                    "required": False,
                    "description": "How many characters of the file to return before and after the passage.",
                    "schema": {"type": "integer", "minimum": 0, "maximum": _MOST_AROUND},
                }
            ]
        },
    )
    async def passage(passage_id: str, request: Request) -> JSONResponse:
        try:
            around = _around(request.query_params.get("around"))
            found = await asyncio.to_thread(search.passage, passage_id, around or 0)
        except RequestError as error:
            return _refused(error)
        answer: dict[str, Any] = passage_as_json(found.passage)
        if around is not None:
            answer |= {"before": found.before, "after": found.after, "complete": found.complete}
        return JSONResponse(answer)

    @router.get(
        "/index",
        summary="What the index contains",
        responses=_answers("Counts, sources and metadata fields; problem says why it cannot be searched."),
    )
    async def index() -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(search.state))

    return router


def passage_as_json(passage: Document) -> dict[str, Any]:
    """A passage for JSON."""
    return {
        "id": passage.id,
        "title": passage.title,
        "text": passage.text,
        "metadata": dict(passage.metadata),
    }


def _around(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) > _MOST_AROUND:
        raise RequestError(
            400, f"around must be a whole number from 0 to {_MOST_AROUND:,}; it is {text!r:.40}"
        )
    return int(text)


def _refused(error: RequestError) -> JSONResponse:
    headers = {} if error.retry_after is None else {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return JSONResponse({"error": str(error)}, error.status, headers=headers)
