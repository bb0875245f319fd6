"""The models of a server: loaded in the background, each with its queue, asked for by name."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossrank.errors import CrossrankError
from crossrank.inference.pairs import Pair
from crossrank.server.queue.job import PLAIN, Cut, Job
from crossrank.server.queue.scheduler import Scheduler
from crossrank.server.request import RequestError

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder

_log = logging.getLogger("crossrank.server")
# Of short and of long inputs, since an engine prepares for each length.
_WARM_UP = [("What is it?", "word " * count) for count in (1, 20, 60, 200, 500)]
Load = Callable[[], "CrossEncoder"]


class ServedModel:
    """A model once it is loaded, or the reason why it is not.

    Args:
        load: Loads the model; called in another thread.
        queue: Makes the model's queue.
        unload_after: Seconds without a request after which the model is unloaded; the next request loads it
            again. None: never.
    """

    def __init__(
        self,
        load: Load,
        *,
        queue: Callable[[CrossEncoder], Scheduler] = Scheduler,
        unload_after: float | None = None,
    ) -> None:
        self._load, self._queue, self._unload_after = load, queue, unload_after
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: tuple[CrossEncoder, Scheduler] | None = None
        self._problem: str | None = "the model is loading"
        self._used = time.monotonic()
        self._closed = False
        self.name = ""

    @property
    def problem(self) -> str | None:
        """Why it cannot answer; None if it can."""
        return self._problem

    @property
    def queue(self) -> Scheduler | None:
        """Its queue, if the model is loaded."""
        return self._loaded[1] if self._loaded else None

    def load(self) -> None:
        """Load the model, and run it once; loading also checks that its scores are finite."""
        with self._loading:
            if self._loaded:
                return
            try:
                model = self._load()
                model.logits(_WARM_UP)
            except CrossrankError as error:
                self._problem = str(error)
            except Exception as error:  # any error is reported by /ping
                self._problem = f"the model cannot be loaded ({type(error).__name__}: {error})"
            else:
                with self._lock:
                    if self._closed:
                        return
                    self.name = public_name(model.name)
                    self._loaded, self._problem = (model, self._queue(model)), None
                    self._used = time.monotonic()
                for notice in model.notices:
                    _log.warning("%s", notice)
                _log.info("%s is loaded", model.name)
                return
        _log.error("%s; /ping answers 503", self._problem)

    def get(self) -> CrossEncoder:
        """The model, loaded again if it was unloaded, which takes its time.

        Raises:
            RequestError: It is not loaded; the message says why.
        """
        return self._get()[0]

    def _get(self) -> tuple[CrossEncoder, Scheduler]:
        if self._problem is not None:
            raise RequestError(503, self._problem)
        loaded = self._loaded
        if loaded is None:
            self.load()
            loaded = self._loaded
        if loaded is None:
            raise RequestError(503, self._problem or "the server is stopping")
        self._used = time.monotonic()
        return loaded

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory, so that :meth:`submit` returns at once."""
        return self._loaded is not None

    def submit(
        self, pairs: Sequence[Pair], cut: Cut = PLAIN, *, patient: bool = False
    ) -> tuple[CrossEncoder, Scheduler, Job]:
        """Put pairs into the model's queue; see :meth:`Scheduler.submit`.

        Raises:
            RequestError: The model is not loaded, or its queue is full.
        """
        while True:
            model, scheduler = self._get()
            with self._lock:
                # Otherwise it was unloaded just now.
                if self._loaded is not None and self._loaded[1] is scheduler:
                    job = scheduler.submit(pairs, cut, patient=patient)
                    return model, scheduler, job

    def unload_if_idle(self) -> bool:
        """Unload the model if it has not been used for long enough; the queue ends first."""
        if self._unload_after is None:
            return False
        with self._lock:
            loaded = self._loaded
            idle = time.monotonic() - self._used
            if loaded is None or idle < self._unload_after or loaded[1].requests:
                return False
            self._loaded = None
        loaded[1].close()
        _log.info("%s is unloaded, after %.0f seconds without a request", loaded[0].name, idle)
        return True

    def close(self) -> None:
        """End the queue when its requests are done."""
        with self._lock:
            self._closed = True
            loaded = self._loaded
        if loaded:
            loaded[1].close()


class Models:
    """The models of a server by name; the first answers where no name, or an unknown one, is asked for.

    Args:
        models: By the name that they were asked for with.
        strict: Whether unknown names are refused.
    """

    def __init__(self, models: dict[str, ServedModel], *, strict: bool = False) -> None:
        self._models, self._strict = models, strict

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def default(self) -> ServedModel:
        """The first."""
        return next(iter(self._models.values()))

    @property
    def problem(self) -> str | None:
        """Why not all models can answer; None if they can."""
        return next((model.problem for model in self._models.values() if model.problem), None)

    def find(self, name: str | None) -> ServedModel:
        """The model of a name: the whole one, or its last part.

        Raises:
            RequestError: There is no such model, and names are strict (404).
        """
        if name is None:
            return self.default
        for asked, model in self._models.items():
            if name in {asked, model.name, public_name(asked)}:
                return model
        for asked, model in self._models.items():
            if name.rpartition("/")[2].lower() == public_name(asked).rpartition("/")[2].lower():
                return model
        if self._strict:
            known = ", ".join(model.name or public_name(asked) for asked, model in self._models.items())
            raise RequestError(404, f"there is no model {name!r:.100} here; this server has {known}")
        return self.default

    def start(self) -> None:
        """Begin to load all models, in a thread that does not keep a process that should end."""
        threading.Thread(target=self._load_all, daemon=True).start()

    def _load_all(self) -> None:
        for model in self:
            model.load()

    @property
    def waiting(self) -> tuple[int, int]:
        """The number of requests and of pairs that wait or run."""
        queues = [model.queue for model in self]
        return (
            sum(queue.requests for queue in queues if queue),
            sum(queue.waiting_pairs for queue in queues if queue),
        )

    @property
    def waiting_seconds(self) -> float:
        """About how long the models need for what waits or runs."""
        queues = [model.queue for model in self]
        return sum(queue.waiting_seconds for queue in queues if queue)

    def close(self) -> None:
        """End all queues when their requests are done."""
        for model in self:
            model.close()


def public_name(name: str) -> str:
    """What a model is called in answers: a folder by its own name, without where it is."""
    return Path(name).name if Path(name).is_dir() else name
