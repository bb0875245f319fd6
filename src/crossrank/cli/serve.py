"""crossrank serve: a cross-encoder over HTTP, with the APIs of many rerankers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossrank.cli.options import Device, Precision, given_path
from crossrank.errors import InputError
from crossrank.server.running import MAX_BODY, PORT


def serve(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A bundled model, a folder, or a Hub name. By default the model in /opt/ml/model, else the "
            "one that HF_MODEL_ID names, else the bundled one.",
            show_default=False,
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="INDEX",
            help="Search this index with POST /search (see crossrank index add).",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    precision: Precision = "auto",
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on: by default 127.0.0.1, in a SageMaker container all addresses.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(envvar="SAGEMAKER_BIND_TO_PORT", help="Port to listen on.")] = PORT,
    max_body: Annotated[
        int, typer.Option(envvar="CROSSRANK_MAX_BODY", help="Maximum size of a request body in bytes.")
    ] = MAX_BODY,
) -> None:
    """Serve a cross-encoder to clients of Cohere, Jina, Voyage, TEI, vLLM and others (docs/serving.md).

    With --index, POST /search searches an index (docs/server.md).

    There is no authentication: anyone who can reach the port can use it. Needs the extra crossrank[server].

    Example: crossrank serve BAAI/bge-reranker-base --port 8080
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port must be from 0 to 65535; it is {port}")
    if max_body < 1:
        raise InputError(f"--max-body must be at least 1; it is {max_body}")
    from crossrank.inference.devices import check_device
    from crossrank.server import running

    check_device(device)
    running.serve(
        running.model_loader(model, device, precision),
        host=host or running.usual_host(),
        port=port,
        max_body=max_body,
        index=index,
    )
