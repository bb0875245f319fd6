"""The few operations that every family is made of, over a model's weights."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.families.graphs.openvino_library import op
from crossrank.families.int8 import is_int8_matrix, quantise_int8
from crossrank.models.weights import Weights

Tensor: TypeAlias = Any  # An OpenVINO node or output; the library has no common public name for both.
Products: TypeAlias = Literal["float", "int8", "static int8"]
"""How inputs are multiplied with weight matrices.

``float``: in the engine's floating-point type. ``int8``: both are int8, and the engine finds the range of the
inputs as it goes. ``static int8``: the same with ranges that are stored with the model, where there are any.
"""

_LEVELS = 256  # of 8 bits

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
        products: How to multiply with weight matrices. In int8, floating-point matrices are rounded here.
        kept_in_float: Parts of tensors' names; what has one is multiplied in floating point.

    Attributes:
        inputs: The input of each matrix, by the name of its tensor.
    """

    def __init__(
        self,
        weights: Weights,
        prefix: str,
        *,
        products: Products = "float",
        kept_in_float: frozenset[str] = frozenset(),
    ) -> None:
        self.inputs: dict[str, Tensor] = {}
        self._weights = weights
        self._prefix = prefix
        self._products = products
        self._kept_in_float = kept_in_float
        self._quantised: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}

    def _name(self, name: str) -> str:
        # Heads and dense layers stand outside the prefix, and so does all of a bare encoder.
        prefixed = f"{self._prefix}{name}"
        base = prefixed.rsplit(".", 1)[0] + "."
        return prefixed if any(n.startswith(base) for n in self._weights.names()) else name

    def has(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return self._name(name) in self._weights

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor; None if it is not there."""
        return self._weights.shape(self._name(name)) if self.has(name) else None

    def tensor(self, name: str) -> NDArray[np.float32]:
        """A tensor in float32."""
        return self._weights.float32(self._name(name))

    def linear(self, x: Tensor, name: str, rows: slice = slice(None)) -> Tensor:
        """x [..., in] times a weight [out, in], plus its bias where there is one.

        Args:
            x: The input.
            name: Of the tensors, without ``.weight`` and ``.bias``.
            rows: The part of the outputs to compute, where several layers are stored as one matrix.
        """
        key = self._name(f"{name}.weight")
        self.inputs[key] = x
        matrix = None if self._products == "float" else self._int8_matrix(key)
        if matrix is None:
            product = op.matmul(x, op.constant(self._weights.float32(key)[rows]), False, True)
        else:
            # Constant, convert, multiply: the engine recognises this and multiplies in int8.
            integers, scale = (op.constant(part[rows]) for part in matrix)
            weight = op.multiply(op.convert(integers, "f32"), scale)
            product = op.matmul(self._int8_input(x, key), weight, False, True)
        if not self.has(f"{name}.bias"):
            return product
        return op.add(product, op.constant(self.tensor(f"{name}.bias")[rows]))

    def linears(self, x: Tensor, name: str, parts: int) -> list[Tensor]:
        """The layers that are stored below each other as one matrix: query, key and value, for example."""
        outputs = len(self.tensor(f"{name}.weight"))
        if outputs % parts:
            raise ModelError(f"{self._name(name)} has {outputs} outputs, which do not make {parts} layers")
        size = outputs // parts
        return [self.linear(x, name, slice(part * size, (part + 1) * size)) for part in range(parts)]

    def _int8_matrix(self, key: str) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
        """A matrix and its scales; None if it is multiplied in floating point."""
        stored, scale = self._weights.stored(key), self._weights.scale(key)
        if scale is not None:
            return stored, scale
        return quantise_int8(stored) if is_int8_matrix(key, stored, self._kept_in_float) else None

    def _int8_input(self, x: Tensor, key: str) -> Tensor:
        smoothing, limits = self._weights.smoothing(key), self._weights.input_range(key)
        if smoothing is None or limits is None:
            return x
        # Matrices with a common input, such as query, key and value, share its quantised form.
        known = (id(x), limits, smoothing.tobytes())
        if known not in self._quantised:
            smooth = op.multiply(x, op.constant(np.float32(1) / smoothing))
            if self._products == "static int8":
                low, high = (op.constant(np.float32(limit)) for limit in limits)
                smooth = op.fake_quantize(smooth, low, high, low, high, _LEVELS)
            self._quantised[known] = x, smooth  # x is kept, so that its id stays its own
        return self._quantised[known][1]

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

    def layer_norm(self, x: Tensor, name: str, epsilon: float, *, bias: bool = True) -> Tensor:
        """Layer normalisation over the last axis (Ba, Kiros, Hinton 2016), with or without a bias."""
        normal = op.mvn(x, constant([-1]), True, epsilon, "inside_sqrt")
        scaled = op.multiply(normal, op.constant(self.tensor(f"{name}.weight")))
        return op.add(scaled, op.constant(self.tensor(f"{name}.bias"))) if bias else scaled
