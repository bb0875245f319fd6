"""The server's process: where it listens, how it logs, how it ends."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from crossrank.errors import MissingExtraError
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.server.model_source import container_model_dir, find_model, model_name

if TYPE_CHECKING:
    from crossrank.inference.arithmetic import Precision
from crossrank.inference.cross_encoder import CrossEncoder

_log = logging.getLogger("crossrank.server")
PORT = 8080
# The largest body that SageMaker sends: a batch transform with MaxPayloadInMB=100.
MAX_BODY = 100 * 1024 * 1024
# SageMaker kills a container 30 seconds after it has asked it to end.
_SECONDS_TO_FINISH = 25


def usual_host() -> str:
    """All addresses in a SageMaker container; elsewhere localhost only, since there is no authentication."""
    return "0.0.0.0" if container_model_dir().is_dir() else "127.0.0.1"


def model_loader(
    model: str | None, device: str | None = None, precision: Precision = "auto"
) -> Callable[[], CrossEncoder]:
    """A function that loads the given model, else the container's, else the bundled one."""

    def load() -> CrossEncoder:
        from crossrank.inference.cross_encoder import CrossEncoder
        from crossrank.inference.scorer import for_ranking

        if model is not None:
            return for_ranking(CrossEncoder(model, device=device, precision=precision))
        if container_model_dir().is_dir() or model_name():
            return for_ranking(
                CrossEncoder(find_model(container_model_dir()), device=device, precision=precision)
            )
        return CrossEncoder(DEFAULT_CROSS_ENCODER, device=device, precision=precision)

    return load


def serve(
    load: Callable[[], CrossEncoder],
    *,
    host: str,
    port: int,
    max_body: int = MAX_BODY,
    index: Path | None = None,
) -> None:
    """Serve until the process is terminated; requests in progress are finished first.

    Args:
        load: Loads the model.
        host: The address to listen on.
        port: The port to listen on.
        max_body: Maximum size of a request body in bytes.
        index: The index to search; it may be made later.

    Raises:
        MissingExtraError: The web libraries are not installed.
        OSError: It cannot listen there.
    """
    try:
        import uvicorn

        from crossrank.server.app import create_app
    except ImportError as error:
        raise MissingExtraError("crossrank serve", "server") from error
    logging.basicConfig(level=logging.WARNING, format="crossrank: %(message)s")
    _log.setLevel(logging.INFO)
    # On SIGTERM, uvicorn shuts down and then raises the signal again, which would look like a crash.
    signal.signal(signal.SIGTERM, lambda *_: None)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=2048) as listening:
        address = f"[{host}]" if ":" in host else host
        _log.info("listening on http://%s:%d", address, listening.getsockname()[1])
        config = uvicorn.Config(
            create_app(load, max_body=max_body, index=index),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        )
        uvicorn.Server(config).run(sockets=[listening])
