"""The errors that crossrank raises: each says what is wrong and how to fix it.

Each is also a subclass of the matching built-in error, such as ValueError.
"""

from __future__ import annotations

from typing import Any


class CrossrankError(Exception):
    """Base class of all errors that crossrank raises; the message is meant for the user."""


class InputError(CrossrankError, ValueError):
    """A question, file, dataset or option that cannot be used."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that does not exist."""


class MissingPassageError(InputError, LookupError):
    """A passage that is not in the index."""


class UncalibratedError(InputError):
    """Probabilities are asked for, and the model is not calibrated for what it ranks by.

    Args:
        model: The model's name.
        ranked_by: What it ranks by, such as ``its logit alone``.
    """

    def __init__(self, model: str, ranked_by: str) -> None:
        super().__init__(
            f"min_probability needs a calibrated model, and {model} is not calibrated for {ranked_by}; fit "
            "it on judged questions with crossrank calibrate, or leave min_probability out"
        )
        self.model, self.ranked_by = model, ranked_by

    def __reduce__(self) -> tuple[type[UncalibratedError], tuple[str, str]]:
        return type(self), (self.model, self.ranked_by)


class ModelError(CrossrankError):
    """A model that does not exist, cannot be loaded, or is of the wrong kind."""


class MissingModelError(ModelError, FileNotFoundError):
    """A model folder that does not exist."""


def file_error(message: str, error: Exception) -> InputError:
    """The error for a file that cannot be used: MissingFileError if it does not exist."""
    return (MissingFileError if isinstance(error, FileNotFoundError) else InputError)(message)


class TruncatedError(InputError):
    """Texts were longer than the model reads, which was to be an error."""


class TruncationWarning(UserWarning):
    """Texts were longer than the model reads, and their end was not read."""


class UnknownKeywordError(CrossrankError, TypeError):
    """An unknown keyword argument; the message suggests the closest known one."""


class MissingExtraError(CrossrankError, ImportError):
    """An optional library that is not installed.

    Args:
        what: The feature that needs it, for the message.
        extra: The name of the extra that installs it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional library: pip install 'crossrank[{extra}]'")
        self._made_of = (what, extra)

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is unpickled from its message, which is not the argument of __init__.
        return type(self), self._made_of
