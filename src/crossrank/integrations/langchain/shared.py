"""Shared models: each is loaded once, and released when it is no longer used."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

logger = logging.getLogger(__name__)

Model = TypeVar("Model", BiEncoder, CrossEncoder)
_guard = threading.Lock()
_locks: dict[tuple[Any, ...], threading.Lock] = {}
_loaded: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()


class SharedModel(Generic[Model]):
    """A loaded model. Copying returns the object itself; unpickling looks up the model or loads it.

    Args:
        kind: The class of the encoder.
        name: The model's name or folder.
        options: Further keyword arguments of the encoder.
        model: The loaded encoder.
    """

    def __init__(self, kind: type[Model], name: str | Path, options: dict[str, Any], model: Model) -> None:
        self._made_of: tuple[type[Model], str | Path, dict[str, Any]] = (kind, name, options)
        self.model: Model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedModel) and self.model is other.model

    def __hash__(self) -> int:
        return id(self.model)

    def __copy__(self) -> SharedModel[Model]:
        return self

    def __deepcopy__(self, memo: object) -> SharedModel[Model]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return shared_model, self._made_of


def shared_model(kind: type[Model], name: str | Path, options: dict[str, Any]) -> SharedModel[Model]:
    """The shared model of this kind, name and options; other callers wait while it is loading.

    Raises:
        ModelError: The model cannot be loaded.
    """
    key = (kind, os.path.realpath(name), repr(sorted(options.items())))  # some values cannot be hashed
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        model = _loaded.get(key)
        if model is None:
            model = _loaded[key] = kind(name, **options)
            for notice in model.notices:
                logger.warning(notice)
    return SharedModel(kind, name, options, model)
