"""The models of a server: loaded in the background, asked for by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from crossrank.errors import CrossrankError
from crossrank.server.request import RequestError

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder

_log = logging.getLogger("crossrank.server")


class LoadedModel:
    """The model once it is loaded, or the reason why it is not.

    Args:
        load: Loads the model; called in another thread.
    """

    def __init__(self, load: Callable[[], CrossEncoder]) -> None:
        self._load = load
        self._model: CrossEncoder | None = None
        self._problem = "the model is loading"

    def start(self) -> None:
        """Begin to load the model in a thread, which does not keep a process that is told to end."""
        threading.Thread(target=self.load, daemon=True).start()

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
