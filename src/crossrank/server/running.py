"""The server's process: where it listens, how it logs, how it ends."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from crossrank.errors import MissingExtraError
from crossrank.inference.score_cache import ScoreCache, as_score_cache
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.server.describing import PROBES
from crossrank.server.guard import Guard
from crossrank.server.keys import Keys
from crossrank.server.metrics import Metrics
from crossrank.server.model_source import container_model_dir, find_model, model_name
from crossrank.server.models import Models, ServedModel
from crossrank.server.queue.scheduler import Scheduler
from crossrank.server.settings import Settings

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder

_log = logging.getLogger("crossrank.server")
# SageMaker kills a container 30 seconds after it has asked it to end.
SECONDS_TO_FINISH = 25
# Threads of the queue and the event loop hand over to each other often.
_SWITCH_INTERVAL = 0.0005


def model_loader(
    model: str | None, settings: Settings, score_cache: ScoreCache | None = None
) -> Callable[[], CrossEncoder]:
    """A function that loads the given model, else the container's, else the bundled one."""

    def load() -> CrossEncoder:
        from crossrank.inference.cross_encoder import CrossEncoder
        from crossrank.inference.scorer import for_ranking

        name = model or DEFAULT_CROSS_ENCODER
        if model is None and (container_model_dir().is_dir() or model_name()):
            name = str(find_model(container_model_dir()))
        loaded = CrossEncoder(
            name,
            device=settings.device,
            threads=settings.threads,
            precision=settings.precision,
            score_cache=score_cache,
        )
        return for_ranking(loaded)

    return load


def open_models(settings: Settings) -> tuple[Models, Metrics]:
    """The models of a server, not loaded yet, and what is counted of them."""
    limits = settings.limits
    # One for all models, and for as long as the server runs, also if models are unloaded.
    score_cache = as_score_cache(settings.score_cache)
    metrics = Metrics(lambda: models.waiting, score_cache)

    def queue(model: CrossEncoder) -> Scheduler:
        return Scheduler(
            model,
            longest_wait=limits.timeout / 2,
            most_requests=limits.max_requests,
            observe=metrics.observe_step,
        )

    served = partial(ServedModel, queue=queue, unload_after=settings.unload_after)
    names = settings.models or (None,)
    models = Models(
        {name or "": served(model_loader(name, settings, score_cache)) for name in names},
        strict=settings.strict_model_names,
    )
    return models, metrics


def application(models: Models, metrics: Metrics, settings: Settings, keys: Keys) -> Guard:
    """The application of a server, with who is let in.

    Args:
        models: The models.
        metrics: What is counted of them.
        settings: The settings.
        keys: The keys that are accepted.
    """
    from crossrank.server.app import create_app

    sys.setswitchinterval(_SWITCH_INTERVAL)
    return Guard(
        create_app(models, metrics=metrics, limits=settings.limits, index=settings.index),
        keys=keys,
        # The page itself holds nothing; what it shows, it asks for with a key.
        open_paths=(*PROBES, "/", "/page/"),
        hosts=settings.hosts,
        origins=settings.allow_origins,
    )


def begin_logging() -> None:
    """Log to standard error: warnings, and what the server itself has to say."""
    logging.basicConfig(level=logging.WARNING, format="crossrank: %(message)s")
    _log.setLevel(logging.INFO)


def serve(settings: Settings) -> None:
    """Serve until the process is terminated; requests in progress are finished first.

    Raises:
        MissingExtraError: The web libraries are not installed.
        InputError: The keys cannot be read, or are missing.
        OSError: It cannot listen there.
    """
    try:
        import uvicorn

        import crossrank.server.app  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("crossrank serve", "server") from error
    begin_logging()
    app = application(*open_models(settings), settings, settings.read_keys())
    # On SIGTERM, uvicorn shuts down and then raises the signal again, which would look like a crash.
    signal.signal(signal.SIGTERM, lambda *_: None)
    host = settings.address
    with listen(host, settings.port) as listening:
        address = f"[{host}]" if ":" in host else host
        _log.info("listening on http://%s:%d", address, listening.getsockname()[1])
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
        )
        uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; its connections send each packet at once.

    Raises:
        OSError: It cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=2048)
    # Connections inherit it; asyncio would set it only if the socket named its protocol. Without it, the
    # second packet of an answer waits until the client has acknowledged the first, which takes 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
