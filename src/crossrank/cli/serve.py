"""crossrank serve: cross-encoders over HTTP, with the APIs of many rerankers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossrank.cli.options import Device, KeptScores, Precision, given_path
from crossrank.cli.output import print_json
from crossrank.errors import InputError
from crossrank.server.limits import LIMITS, Limits
from crossrank.server.settings import PORT, Settings


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Bundled models, folders, or Hub names; the first answers requests that name no other. By "
            "default the model in /opt/ml/model, else the one that HF_MODEL_ID names, else the bundled one.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="The same as MODEL.", show_default=False, envvar="CROSSRANK_MODEL"),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            envvar="CROSSRANK_INDEX",
            parser=given_path,
            metavar="INDEX",
            help="Search this index with POST /search, over MCP and on the page (see crossrank index add).",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    precision: Precision = "auto",
    host: Annotated[
        str | None,
        typer.Option(
            envvar="CROSSRANK_HOST",
            help="Address to listen on: by default 127.0.0.1, in a SageMaker container all addresses. Others "
            "need a key.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(envvar=["CROSSRANK_PORT", "SAGEMAKER_BIND_TO_PORT"], help="Port to listen on.")
    ] = PORT,
    api_key: Annotated[
        str,
        typer.Option(
            envvar="CROSSRANK_API_KEY",
            help="Accepted keys, separated by commas. Others can see a command line; use the variable.",
            show_default=False,
        ),
    ] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="CROSSRANK_KEY_FILE",
            parser=given_path,
            metavar="FILE",
            help="A file with accepted keys, one a line.",
            show_default=False,
        ),
    ] = None,
    without_key: Annotated[
        bool,
        typer.Option(
            "--without-key", envvar="CROSSRANK_WITHOUT_KEY", help="Let everyone in who can reach it."
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="CROSSRANK_ALLOW_HOST",
            help="A name by which clients reach this server, such as that of a proxy before it.",
            show_default=False,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            envvar="CROSSRANK_ALLOW_ORIGIN",
            help="An origin whose pages may send requests, such as https://example.org.",
            show_default=False,
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option(envvar="CROSSRANK_MAX_BODY", min=1, help="Maximum size of a request body in bytes.")
    ] = LIMITS.max_body,
    max_documents: Annotated[
        int,
        typer.Option(
            envvar="CROSSRANK_MAX_DOCUMENTS", min=1, help="Maximum number of documents in a request."
        ),
    ] = LIMITS.max_documents,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            envvar="CROSSRANK_MAX_TOKENS",
            min=1,
            help="Maximum number of tokens in all pairs of a request.",
            show_default="no limit",
        ),
    ] = LIMITS.max_tokens,
    max_requests: Annotated[
        int,
        typer.Option(
            envvar="CROSSRANK_MAX_REQUESTS", min=1, help="How many requests may wait or run; others get 429."
        ),
    ] = LIMITS.max_requests,
    timeout: Annotated[
        float,
        typer.Option(
            envvar="CROSSRANK_TIMEOUT",
            min=0.1,
            help="Seconds until a request is given up; one that would wait half of it is refused at once.",
        ),
    ] = LIMITS.timeout,
    strict_model_names: Annotated[
        bool,
        typer.Option(
            "--strict-model-names",
            envvar="CROSSRANK_STRICT_MODEL_NAMES",
            help="Refuse requests that name a model that is not served; otherwise the first one answers.",
        ),
    ] = False,
    unload_after: Annotated[
        float | None,
        typer.Option(
            envvar="CROSSRANK_UNLOAD_AFTER",
            min=1,
            help="Seconds without a request after which a model is unloaded; the next one loads it again.",
            show_default="never",
        ),
    ] = None,
    score_cache: KeptScores = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Serve on a Ray cluster: its address, auto for the one this machine belongs to, or local. "
            "Needs crossrank[ray].",
            show_default=False,
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(help="With --ray: how many replicas; one for each machine by default."),
    ] = None,
    max_replicas: Annotated[
        int | None,
        typer.Option(help="With --ray: start more replicas, up to this many, while they are busy."),
    ] = None,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print the settings as JSON, with keys hidden, and exit.")
    ] = False,
) -> None:
    """Serve cross-encoders to clients of Cohere, Jina, Voyage, TEI, vLLM and others (docs/serving.md).

    With --index, it also searches an index: on the page at /, with POST /search (docs/search-api.md), and for
    assistants at /mcp (docs/mcp.md).

    Without a key, everyone who can reach the port can use it. Needs the extra crossrank[server]. With --ray,
    several replicas serve; run it again to replace their model without a failed request.

    Example: crossrank serve BAAI/bge-reranker-base --port 8080
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port must be from 0 to 65535; it is {port}")
    settings = Settings(
        models=(*(models or ()), *(model or ())),
        index=index,
        device=device,
        precision=precision,
        host=host,
        port=port,
        keys=tuple(key.strip() for key in api_key.split(",") if key.strip()),
        key_file=key_file,
        without_key=without_key,
        allow_hosts=tuple(allow_host or ()),
        allow_origins=tuple(allow_origin or ()),
        limits=Limits(max_body, max_documents, max_tokens, max_requests, timeout),
        strict_model_names=strict_model_names,
        unload_after=unload_after,
        score_cache=score_cache or None,
    )
    if show_settings:
        print_json(settings.shown())
        return
    if ray is None and (replicas or max_replicas):
        raise InputError("--replicas and --max-replicas are for Ray: give its address with --ray")
    from crossrank.inference.devices import check_device
    from crossrank.server import running

    check_device(device)
    if ray is None:
        running.serve(settings)
        return
    from crossrank.server.on_ray import Replicas, serve_on_ray

    serve_on_ray(settings, Replicas(ray, replicas, max_replicas))
