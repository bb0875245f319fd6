"""``crossrank serve --ray``: the same application on Ray Serve, in several replicas.

A replica has the models, and the same queue as a server without Ray. So the 429 of a queue that is full comes
before Ray Serve's own 503, which has no Retry-After: Ray Serve may send a replica more requests than its
queue takes, and has no limit of its own.
"""

from __future__ import annotations

import inspect
import logging
import signal
import socket
import threading
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossrank.cluster import connected, workers_and_threads
from crossrank.errors import InputError, MissingExtraError, ModelError
from crossrank.families.model import open_model
from crossrank.server.guard import Asgi
from crossrank.server.keys import Keys
from crossrank.server.models import Models
from crossrank.server.running import SECONDS_TO_FINISH, application, begin_logging, open_models
from crossrank.server.scaling import METRIC, replicas_needed
from crossrank.server.settings import Settings

_log = logging.getLogger("crossrank.server")
_NAME = "crossrank"
_OWNER = b"crossrank serve"
# In seconds: over how long the mean of what replicas report is, and how long it has to be too much.
_LOOK_BACK, _BUSY_FOR = 15.0, 5.0
# How many times what the queue of a replica takes Ray Serve may send it.
_BEYOND_THE_QUEUE = 4
# The share of its processors that a replica reserves, so that its successor fits on the same machine.
_RESERVED = 0.5


@dataclass(frozen=True, slots=True)
class Replicas:
    """Where the replicas are, and how many.

    Attributes:
        address: See :func:`crossrank.cluster.connected`.
        least: How many there are at least; None: one for each machine.
        most: How many there may be when they are busy; None: no more.
    """

    address: str
    least: int | None = None
    most: int | None = None


def serve_on_ray(settings: Settings, replicas: Replicas) -> None:
    """Serve on a cluster until the process is terminated; requests in progress are finished first.

    If the cluster serves with crossrank already, its replicas are replaced one after the other, and no
    request fails: this is how a model is changed. The process that served before then ends.

    Raises:
        MissingExtraError: Ray or the web libraries are not installed.
        InputError: There is no cluster, it has too few processors, it serves at another address, or the keys
            cannot be read, or are missing.
        ModelError: The models cannot be loaded.
    """
    for name, number in (("--replicas", replicas.least), ("--max-replicas", replicas.most)):
        if number is not None and number < 1:
            raise InputError(f"{name} must be at least 1; it is {number}")
    if replicas.most is not None and replicas.most < (replicas.least or 1):
        raise InputError(
            f"--max-replicas must be at least --replicas ({replicas.least}); it is {replicas.most}"
        )
    keys = settings.read_keys()
    for model in settings.models:
        open_model(model)  # what is misspelt is reported before anything is replaced
    begin_logging()
    with connected(replicas.address) as ray:
        try:
            from ray import serve
        except ImportError as error:
            raise MissingExtraError("serving on a cluster", "ray") from error
        found = workers_and_threads(ray, replicas.most or replicas.least, reserved=_RESERVED)
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        settings = replace(settings, port=_listen(serve, settings))
        ours, before = uuid.uuid4().hex.encode(), _is_there(serve)
        try:
            _deploy(serve, settings, keys, replicas, found)
            _take_over(ours)
            _log.info("listening on http://%s:%d", _in_url(settings.address), settings.port)
            while not ended.wait(1):
                if _owner() != ours:
                    _log.info("another crossrank serve --ray has taken over")
                    return
            if _owner() == ours:
                serve.delete(_NAME)
        except (InputError, ModelError):
            if not before and _is_there(serve):
                serve.delete(_NAME)
            raise
        finally:
            if not serve.status().applications:
                serve.shutdown()


def _deploy(serve: Any, settings: Settings, keys: Keys, replicas: Replicas, found: tuple[int, int]) -> None:
    """Start the replicas, or replace those that are there.

    Args:
        serve: Ray Serve.
        settings: The settings.
        keys: The keys that are accepted.
        replicas: What was asked for.
        found: How many replicas the cluster has room for at most, and the threads of each.

    Raises:
        ModelError: They cannot be started; those that were there stay.
    """
    most, threads = found
    least = most if replicas.most is None else replicas.least or 1
    options: dict[str, Any] = {
        "name": _NAME,
        "ray_actor_options": {"num_cpus": threads * _RESERVED},
        "max_ongoing_requests": _BEYOND_THE_QUEUE * settings.limits.max_requests,
        "graceful_shutdown_timeout_s": SECONDS_TO_FINISH,
        "graceful_shutdown_wait_loop_s": 0.1,
    }
    # A successor is ready before a replica ends; few attempts to load a model. Older releases lack them.
    newer = {"max_surge_percent": 100, "max_constructor_retry_count": 3}
    known = inspect.signature(serve.deployment).parameters
    options |= {name: value for name, value in newer.items() if name in known}
    if most > least:
        options["autoscaling_config"] = {
            "min_replicas": least,
            "max_replicas": most,
            "policy": {"policy_function": "crossrank.server.scaling:replicas_for_queue"},
            "look_back_period_s": _LOOK_BACK,
            "upscale_delay_s": _BUSY_FOR,
        }
    else:
        options["num_replicas"] = least
    fixed = replace(
        settings,
        # A replica has another working directory.
        models=tuple(str(Path(name).resolve()) if Path(name).is_dir() else name for name in settings.models),
        index=settings.index and settings.index.resolve(),
        host=settings.address,
        keys=(),
        key_file=None,
        threads=settings.threads or threads,
    )
    try:
        serve.run(
            serve.deployment(**options)(_replica(serve, fixed, keys)).bind(),
            name=_NAME,
            logging_config={"enable_access_log": False, "log_level": "WARNING"},
        )
    except RuntimeError as error:
        message = serve.status().applications[_NAME].message
        raise ModelError(f"the replicas cannot be started: {message or error}") from error


def _replica(serve: Any, settings: Settings, keys: Keys) -> type:
    """The class of a replica, which Ray Serve makes on other machines."""
    served: list[Models] = []

    def build() -> Asgi:
        """Runs on a replica. It counts as ready when this returns, so the models are loaded first."""
        begin_logging()
        models, metrics = open_models(settings)
        for model in models:
            model.load()
        if models.problem:
            raise ModelError(models.problem)
        served.append(models)
        return application(models, metrics, settings, keys)

    class Replica:
        def record_autoscaling_stats(self) -> dict[str, float]:
            """What Ray Serve asks a replica for, for the policy."""
            most = settings.limits.max_requests
            return {METRIC: sum(replicas_needed(m.waiting_seconds, m.waiting[0], most) for m in served)}

    made: type = serve.ingress(build)(Replica)
    return made


def _listen(serve: Any, settings: Settings) -> int:
    """Start the proxies of Ray Serve, which take the requests; returns their port.

    Raises:
        InputError: They listen at another address, or the port is taken.
    """
    host, port = settings.address, settings.port
    if not serve.status().proxies:
        try:
            with socket.create_server((host, port), family=_family(host)) as free:
                port = free.getsockname()[1]
        except OSError as error:
            raise InputError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    from ray.serve.context import _get_global_client

    serve.start(http_options={"host": host, "port": port})
    options = _get_global_client().http_config
    if (options.host, options.port) != (host, port):
        raise InputError(
            f"Ray Serve listens on {options.host}:{options.port} on this cluster, not on {host}:{port}; take "
            "that address, or end what it serves (serve shutdown)"
        )
    return int(port)


def _is_there(serve: Any) -> bool:
    return _NAME in serve.status().applications


def _take_over(process: bytes) -> None:
    """Note on the cluster which process the application belongs to, and ends when it does."""
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(_OWNER, process, overwrite=True)


def _owner() -> bytes | None:
    from ray.experimental.internal_kv import _internal_kv_get

    found: bytes | None = _internal_kv_get(_OWNER)
    return found


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
