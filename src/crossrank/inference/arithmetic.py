"""The kinds of arithmetic that the CPU engine can run a model in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from crossrank.errors import InputError

if TYPE_CHECKING:
    from crossrank.families.graphs.operations import Products

Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "int8"]
"""What a user asks for. ``auto``: the fastest that ranks like float32 on this processor."""


Activations: TypeAlias = Literal["float32", "bfloat16", "float16"]
"""The type of the activations; float16 is only for GPUs without bfloat16."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How a model is computed.

    Attributes:
        products: How inputs are multiplied with weight matrices.
        activations: The type of everything else, and of the products if these are in floating point.

    Example:
        >>> str(Arithmetic("static int8", "bfloat16"))
        'static int8 with bfloat16'
    """

    products: Products
    activations: Activations

    def __str__(self) -> str:
        if self.products == "float":
            return self.activations
        return self.products + ("" if self.activations == "float32" else f" with {self.activations}")


FLOAT32 = Arithmetic("float", "float32")
BFLOAT16 = Arithmetic("float", "bfloat16")


def check_precision(precision: str) -> None:
    """Refuse what is no precision.

    Raises:
        InputError: It is none.
    """
    if precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise InputError(f"precision must be one of {known}; it is {precision!r:.40}")
