"""The server's own description, with GET: whether it is ready, its models as each API has them, metrics."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from crossrank.server.limits import Limits
from crossrank.server.metrics import Metrics
from crossrank.server.models import Models
from crossrank.server.request import RequestError

# Whose names they are: SageMaker; TEI, vLLM, infinity and llama.cpp; NIM; Kubernetes.
_READY = ("/ping", "/sagemaker/ping", "/health", "/tei/health", "/vllm/health", "/llamacpp/health",
          "/infinity/health", "/v1/health/ready", "/nim/v1/health/ready", "/readyz")  # fmt: skip
_READY_FOR_WEAVIATE = ("/.well-known/ready", "/weaviate/.well-known/ready")
_ALIVE = (
    "/livez",
    "/v1/health/live",
    "/nim/v1/health/live",
    "/.well-known/live",
    "/weaviate/.well-known/live",
)
_MODELS = ("/v1/models", "/models", "/vllm/v1/models", "/nim/v1/models", "/nim/models", "/infinity/models",
           "/infinity/v1/models", "/llamacpp/v1/models", "/jina/v1/models")  # fmt: skip
PROBES = (*_READY, *_READY_FOR_WEAVIATE, *_ALIVE)
"""Paths that say whether the server runs and is ready; they need no key, since what asks them has none."""


def describing(models: Models, metrics: Metrics, limits: Limits) -> APIRouter:
    """The routes."""
    router = APIRouter()

    async def ready() -> Response:
        if problem := models.problem:
            return JSONResponse({"error": problem}, 503)
        return Response(status_code=200)

    async def ready_for_weaviate() -> Response:
        if problem := models.problem:
            return JSONResponse({"error": problem}, 503)
        return Response(status_code=204)

    async def alive() -> Response:
        return Response(status_code=200)

    async def listed() -> Response:
        entries = [
            {"id": model.name, "object": "model", "created": 0, "owned_by": "crossrank", "root": model.name}
            for model in models
            if not model.problem
        ]
        return JSONResponse({"object": "list", "data": entries})

    async def info() -> Response:
        try:
            return JSONResponse(_info(models, limits))
        except RequestError as error:
            return JSONResponse({"error": str(error), "error_type": "unhealthy"}, error.status)

    async def meta() -> Response:
        if problem := models.default.problem:
            return JSONResponse({"error": problem}, 503)
        return JSONResponse(
            {"model": models.default.name, "version": importlib.metadata.version("crossrank")}
        )

    async def metrics_text() -> Response:
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for paths, summary, answer in (
        (_READY, "Whether the models are loaded", ready),
        (_READY_FOR_WEAVIATE, "Whether the models are loaded (Weaviate)", ready_for_weaviate),
        (_ALIVE, "Whether the process runs", alive),
        (_MODELS, "The models", listed),
        (("/info", "/tei/info"), "The model (TEI)", info),
        (("/meta", "/weaviate/meta"), "The model (Weaviate)", meta),
        (("/metrics", "/tei/metrics", "/vllm/metrics"), "Metrics in Prometheus' format", metrics_text),
    ):
        for path in paths:
            router.get(path, summary=summary, tags=["server"], response_model=None)(answer)
    return router


def _info(models: Models, limits: Limits) -> dict[str, Any]:
    """TEI's ``/info``, with the fields that clients read."""
    model = models.default.get()
    return {
        "model_id": models.default.name,
        "model_sha": None,
        "model_dtype": str(model.precision.arithmetic),
        "served_model_name": models.default.name,
        "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "max_concurrent_requests": limits.max_requests,
        "max_input_length": model.tokenizer.max_tokens,
        "max_batch_tokens": model.tokens_at_once,
        "max_client_batch_size": limits.max_documents,
        "auto_truncate": True,
        "version": importlib.metadata.version("crossrank"),
    }
