"""Files of a model that do not hold what they should: one error for whatever that does to their readers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from crossrank.errors import CrossrankError, ModelError

P = ParamSpec("P")
R = TypeVar("R")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


M = TypeVar("M", bound=_Named)


def refuses_damage(read: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Make a function that reads a model's files raise ModelError where they are not as they should be.

    Readers take settings for what they should be: a number, a list of names. Of other values comes any of
    Python's or OpenVINO's errors, and all of them mean the same.

    Example:
        >>> from types import SimpleNamespace
        >>> @refuses_damage
        ... def width(model):
        ...     return float(model.config["width"])
        >>> width(SimpleNamespace(name="mine", config={"width": "wide"}))
        Traceback (most recent call last):
        crossrank.errors.ModelError: mine cannot be used: its files are damaged, or do not belong together \
(ValueError: could not convert string to float: 'wide')
    """

    @wraps(read)
    def reading(model: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(model, *args, **kwargs)
        except (CrossrankError, OSError, ImportError, MemoryError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise ModelError(
                f"{model.name} cannot be used: its files are damaged, or do not belong together ({reason})"
            ) from error

    return reading
