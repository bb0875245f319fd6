"""The server's own description, with GET: whether it is ready, and its models, as each API has it."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from crossrank.server.models import LoadedModel
from crossrank.server.request import RequestError

# Whose names they are: SageMaker; TEI, vLLM, infinity and llama.cpp; Kubernetes.
_READY = ("/ping", "/sagemaker/ping", "/health", "/tei/health", "/vllm/health", "/llamacpp/health",
          "/infinity/health", "/readyz")  # fmt: skip
_MODELS = ("/v1/models", "/models", "/vllm/v1/models", "/nim/v1/models", "/nim/models", "/infinity/models",
           "/infinity/v1/models", "/llamacpp/v1/models", "/jina/v1/models")  # fmt: skip


def describing(model: LoadedModel) -> APIRouter:
    """The routes."""
    router = APIRouter()

    async def ready() -> Response:
        if problem := _problem(model):
            return JSONResponse({"error": problem}, 503)
        return Response(status_code=200)

    async def ready_for_weaviate() -> Response:
        if problem := _problem(model):
            return JSONResponse({"error": problem}, 503)
        return Response(status_code=204)

    async def alive() -> Response:
        return Response(status_code=200)

    async def models() -> Response:
        try:
            loaded = model.get()
        except RequestError as error:
            return JSONResponse({"error": str(error)}, error.status)
        entry = {
            "id": loaded.name,
            "object": "model",
            "created": 0,
            "owned_by": "crossrank",
            "root": loaded.name,
        }
        return JSONResponse({"object": "list", "data": [entry]})

    async def info() -> Response:
        try:
            loaded = model.get()
        except RequestError as error:
            return JSONResponse({"error": str(error), "error_type": "unhealthy"}, error.status)
        return JSONResponse(_info(loaded))

    async def meta() -> Response:
        try:
            loaded = model.get()
        except RequestError as error:
            return JSONResponse({"error": str(error)}, error.status)
        return JSONResponse({"model": loaded.name, "version": importlib.metadata.version("crossrank")})

    for path in _READY:
        router.get(path, summary="Whether the model is loaded", tags=["state"])(ready)
    for path in ("/livez", "/.well-known/live", "/weaviate/.well-known/live"):
        router.get(path, summary="Whether the process runs", tags=["state"])(alive)
    for path in ("/.well-known/ready", "/weaviate/.well-known/ready"):
        router.get(path, summary="Whether the model is loaded (Weaviate)", tags=["state"])(ready_for_weaviate)
    for path in _MODELS:
        router.get(path, summary="The models", tags=["models"])(models)
    for path in ("/info", "/tei/info"):
        router.get(path, summary="The model (TEI)", tags=["models"])(info)
    for path in ("/meta", "/weaviate/meta"):
        router.get(path, summary="The model (Weaviate)", tags=["models"])(meta)
    return router


def _problem(model: LoadedModel) -> str | None:
    try:
        model.get()
    except RequestError as error:
        return str(error)
    return None


def _info(model: Any) -> dict[str, Any]:
    """TEI's ``/info``, with the fields that clients read."""
    return {
        "model_id": model.name,
        "model_sha": None,
        "model_dtype": str(model.precision.arithmetic),
        "served_model_name": model.name,
        "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "max_input_length": model.tokenizer.max_tokens,
        "auto_truncate": True,
        "version": importlib.metadata.version("crossrank"),
    }
