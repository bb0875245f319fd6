"""The errors that crossrank raises: each says what was wrong and what to do about it."""


class CrossrankError(Exception):
    """Base of every error that crossrank raises on purpose; its text is for the person who reads it."""


class InputError(CrossrankError):
    """A question, file, dataset or option that cannot be used as it was given."""


class ModelError(CrossrankError):
    """A model that does not exist, cannot be loaded, or is not what was asked for."""


class MissingExtraError(CrossrankError):
    """An optional library that is not installed.

    Args:
        what: The feature that needs it, as a person would say it.
        extra: The name of the extra that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional library: pip install 'crossrank[{extra}]'")
