"""Activations: functions from a model's outputs to scores, by name or as a function of PyTorch tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, MissingExtraError, ModelError
from crossrank.models.folder import ModelFolder

ActivationName: TypeAlias = Literal["none", "sigmoid", "tanh"]
Activation: TypeAlias = ActivationName | Callable[[Any], Any]
"""By name, or a function of tensors [n, labels], such as an object of ``torch.nn``."""


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without overflow for any finite x."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


ACTIVATIONS: dict[ActivationName, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "none": lambda logits: logits,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
}
_SAVED: dict[str, ActivationName] = {"identity": "none", "sigmoid": "sigmoid", "tanh": "tanh"}


def activation_of(given: object) -> Activation | None:
    """Check an activation that a caller passed; returns None for None.

    PyTorch's Identity, Sigmoid and Tanh are replaced by their names, and computed with NumPy.

    Raises:
        InputError: It is neither a known name nor a function.

    Example:
        >>> activation_of("none")
        'none'
    """
    if given is None:
        return None
    if isinstance(given, str) and given in ACTIVATIONS:
        return given
    if not callable(given) or isinstance(given, type):
        raise InputError(
            f"activation must be one of {', '.join(ACTIVATIONS)}, or a function such as torch.nn.Sigmoid(); "
            f"it is {given!r:.80}"
        )
    kind = type(given)
    return (_SAVED.get(kind.__name__.lower()) if kind.__module__.startswith("torch.nn.") else None) or given


def activation_name(activation: Activation) -> str:
    """The name of an activation, for rankings and reports.

    Example:
        >>> activation_name("sigmoid"), activation_name(abs)
        ('sigmoid', 'abs')
    """
    if isinstance(activation, str):
        return activation
    return str(getattr(activation, "__name__", type(activation).__name__))


def activated(outputs: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """Apply an activation to outputs [n, labels]; returns [n, labels].

    Raises:
        InputError: The function does not return one row of numbers per input.
        MissingExtraError: It is a function of tensors, and PyTorch is not installed.
    """
    if isinstance(activation, str):
        return ACTIVATIONS[activation](outputs)
    given = np.asarray(activation(as_tensor(outputs)), np.float32)
    if given.shape[:1] != outputs.shape[:1]:
        raise InputError(
            f"the activation {activation!r:.80} gave {given.shape} numbers for {len(outputs)} inputs"
        )
    return given.reshape(len(outputs), -1)


def as_tensor(values: NDArray[np.float32], device: str = "cpu") -> Any:
    """Convert an array to a PyTorch tensor.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("A tensor", "torch") from error
    return torch.as_tensor(values, device=device)


def as_module(activation: Activation) -> Any:
    """The PyTorch module of an activation.

    Raises:
        MissingExtraError: The activation is given by name, and PyTorch is not installed.
    """
    if not isinstance(activation, str):
        return activation
    try:
        from torch import nn
    except ImportError as error:
        raise MissingExtraError(f"The activation {activation!r} as an object", "torch") from error
    return {"none": nn.Identity, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}[activation]()


def name_to_save(activation: Activation) -> str:
    """The name under which sentence-transformers saves an activation with a model.

    Raises:
        InputError: It is a function that cannot be restored from its name.

    Example:
        >>> name_to_save("sigmoid")
        'torch.nn.modules.activation.Sigmoid'
    """
    if isinstance(activation, str):
        own = {"none": "linear.Identity", "sigmoid": "activation.Sigmoid", "tanh": "activation.Tanh"}
        return f"torch.nn.modules.{own[activation]}"
    kind = type(activation)
    if not kind.__module__.startswith("torch.nn."):
        raise InputError(
            f"the activation {activation!r:.80} cannot be saved with the model; one of torch.nn can"
        )
    return f"{kind.__module__}.{kind.__qualname__}"


def saved_activation(model: ModelFolder) -> Activation | None:
    """The activation that a model was saved with; None if there is none, or it is the model's own code.

    Raises:
        ModelError: The activation is not in ``torch.nn``.
        MissingExtraError: It needs PyTorch, which is not installed.
    """
    nested = model.config.get("sentence_transformers")
    saved = (
        model.json("config_sentence_transformers.json").get("activation_fn")
        or (nested.get("activation_fn") if isinstance(nested, dict) else None)
        or model.config.get("sbert_ce_default_activation_function")
    )
    if not isinstance(saved, str) or not saved.startswith("torch."):
        return None
    name = saved.rsplit(".", 1)[-1]
    return _SAVED.get(name.lower()) or _of_torch(model, saved, name)


def _of_torch(model: ModelFolder, saved: str, name: str) -> Callable[[Any], Any]:
    try:
        from torch import nn
    except ImportError as error:
        raise MissingExtraError(
            f"{model.name} was saved with the activation {saved}, which", "torch"
        ) from error
    kind = getattr(nn, name, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ModelError(f"{model.name} was saved with the activation {saved}, which torch.nn does not have")
    function: Callable[[Any], Any] = kind()
    return function
