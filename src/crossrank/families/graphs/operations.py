"""The few operations that every family is made of, over a model's weights."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.families.graphs.openvino_library import op
from crossrank.models.weights import Weights

Tensor: TypeAlias = Any  # An OpenVINO node or output; the library has no common public name for both.

_ACTIVATIONS = {
    "gelu": lambda x: op.gelu(x, "erf"),
    "gelu_new": lambda x: op.gelu(x, "tanh"),
    "gelu_pytorch_tanh": lambda x: op.gelu(x, "tanh"),
    "relu": op.relu,
    "silu": op.swish,
    "swish": op.swish,
    "tanh": op.tanh,
}


def constant(value: object, dtype: type[np.generic] = np.int64) -> Tensor:
    """A constant; whole numbers as int64 unless another type is named."""
    return op.constant(np.asarray(value, dtype))


def activation(name: str, x: Tensor) -> Tensor:
    """An activation by its Hugging Face name.

    Raises:
        ModelError: The name is not known.
    """
    if name not in _ACTIVATIONS:
        raise ModelError(
            f"the activation {name!r} is not supported; known: {', '.join(sorted(_ACTIVATIONS))}"
        )
    return _ACTIVATIONS[name](x)


class Operations:
    """Layers over one model's weights.

    Args:
        weights: The tensors.
        prefix: What stands before every name, such as ``"bert."``.
        keep_int8: Leave int8 matrices as they are, so that the engine multiplies in int8;
            otherwise they become float32 here.
    """

    def __init__(self, weights: Weights, prefix: str, *, keep_int8: bool) -> None:
        self._weights = weights
        self._prefix = prefix
        self._keep_int8 = keep_int8

    def _name(self, name: str) -> str:
        # Heads and dense layers stand outside the prefix, and so does all of a bare encoder.
        prefixed = f"{self._prefix}{name}"
        base = prefixed.rsplit(".", 1)[0] + "."
        return prefixed if any(n.startswith(base) for n in self._weights.names()) else name

    def has(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return self._name(name) in self._weights

    def tensor(self, name: str) -> NDArray[np.float32]:
        """A tensor in float32."""
        return self._weights.float32(self._name(name))

    def linear(self, x: Tensor, name: str) -> Tensor:
        """x [..., in] times a weight [out, in], plus its bias where there is one."""
        key = self._name(f"{name}.weight")
        scale = self._weights.scale(key)
        if scale is not None and self._keep_int8:
            # Constant, convert, multiply: the engine recognises this and multiplies in int8.
            weight = op.convert(op.constant(self._weights.stored(key)), "f32")
            weight = op.multiply(weight, op.constant(scale))
        else:
            weight = op.constant(self._weights.float32(key))
        product = op.matmul(x, weight, False, True)
        return (
            op.add(product, op.constant(self.tensor(f"{name}.bias"))) if self.has(f"{name}.bias") else product
        )

    def embedding(self, ids: Tensor, name: str) -> Tensor:
        """Rows of a table [rows, d] by ids of any shape: [..., d] in float32."""
        key = self._name(f"{name}.weight")
        scale = self._weights.scale(key)
        axis = constant(0)
        if scale is None:
            return op.gather(op.constant(self._weights.float32(key)), ids, axis)
        # Rows are gathered first and made float after, so that the table stays int8 in memory.
        rows = op.convert(op.gather(op.constant(self._weights.stored(key)), ids, axis), "f32")
        return op.multiply(rows, op.gather(op.constant(scale), ids, axis))

    def layer_norm(self, x: Tensor, name: str, epsilon: float) -> Tensor:
        """Layer normalisation over the last axis (Ba, Kiros, Hinton 2016)."""
        normal = op.mvn(x, constant([-1]), True, epsilon, "inside_sqrt")
        scaled = op.multiply(normal, op.constant(self.tensor(f"{name}.weight")))
        return op.add(scaled, op.constant(self.tensor(f"{name}.bias")))
