"""The errors that crossrank raises: each says what was wrong and what to do about it.

Each is also the built-in error that a Python programmer would catch.
"""

from __future__ import annotations

from typing import Any


class CrossrankError(Exception):
    """Base of every error that crossrank raises on purpose; its text is for the person who reads it."""


class InputError(CrossrankError, ValueError):
    """A question, file, dataset or option that cannot be used as it was given."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that was named and is not there."""


class ModelError(CrossrankError):
    """A model that does not exist, cannot be loaded, or is not what was asked for."""


class MissingModelError(ModelError, FileNotFoundError):
    """A model's folder that is not there."""


def file_error(message: str, error: Exception) -> InputError:
    """The error for a file that cannot be used: a MissingFileError where it is not there."""
    return (MissingFileError if isinstance(error, FileNotFoundError) else InputError)(message)


class UnknownKeywordError(CrossrankError, TypeError):
    """A keyword that a function does not have; the message names the nearest one that it has."""


class MissingExtraError(CrossrankError, ImportError):
    """An optional library that is not installed.

    Args:
        what: The feature that needs it, as a person would say it.
        extra: The name of the extra that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional library: pip install 'crossrank[{extra}]'")
        self._made_of = (what, extra)

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is unpickled from its message alone, which is not what __init__ takes.
        return type(self), self._made_of
