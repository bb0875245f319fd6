"""Choose the arithmetic for a model: the fastest here that gives the results of float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossrank.errors import InputError
from crossrank.families.model import Model
from crossrank.inference.arithmetic import BFLOAT16, FLOAT32, Arithmetic, Precision
from crossrank.inference.timing import has_amx, layer_speeds
from crossrank.inference.tokenizer import Tokenizer

if TYPE_CHECKING:
    from crossrank.families.graphs.operations import Products

# Below this, a model takes microseconds a pair in any arithmetic.
_TOO_SMALL = 1_000_000
# What is less exact has to be faster by this factor.
_WORTH_CHANGING = 1.03


@dataclass(frozen=True, slots=True)
class Choice:
    """The arithmetic that a model runs in, and why.

    Attributes:
        arithmetic: What was chosen.
        reason: Why, in a few words.
        speeds: How many times as fast as float32 each arithmetic is that was timed, for the first layers of
            the model. Empty if none was timed.
    """

    arithmetic: Arithmetic
    reason: str
    speeds: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.arithmetic} ({self.reason})"


def choices(
    model: Model,
    precision: Precision,
    tokenizer: Tokenizer,
    *,
    has_bfloat16: Callable[[], bool],
) -> Iterator[Choice]:
    """The ways to run a model here, the best first; the caller takes the first that works.

    Nothing is timed if the answer is certain: with AMX, bfloat16 is the fastest by far; a model that is tiny
    or exported has nothing to choose from.

    Args:
        model: The model.
        precision: What the user asked for.
        tokenizer: The model's tokenizer.
        has_bfloat16: Says whether the processor has bfloat16 instructions.

    Raises:
        InputError: The precision is int8, and the model runs from an exported file.
    """
    if precision in {"float32", "bfloat16"}:
        yield Choice(FLOAT32 if precision == "float32" else BFLOAT16, "as asked for", {})
        return
    if not model.has_graph:
        if precision == "int8":
            raise InputError(
                f"precision cannot be int8: {model.name} runs from an exported file with its own arithmetic"
            )
        yield Choice(FLOAT32, "it runs from an exported file", {})
        return
    if precision == "auto" and model.weights.parameters < _TOO_SMALL:
        yield Choice(FLOAT32, "the model is tiny", {})
        return
    if precision == "auto" and has_amx():
        yield Choice(BFLOAT16, "this processor has AMX", {})
    speeds = _speeds(model, tokenizer, has_bfloat16=has_bfloat16())
    ratios = {str(each): round(speed / speeds[FLOAT32], 2) for each, speed in speeds.items()}
    for arithmetic in _fastest_first(speeds):
        if precision == "auto" or arithmetic.products != "float":
            reason = (
                "nothing is faster here"
                if arithmetic == FLOAT32
                else f"{ratios[str(arithmetic)]:.2f} times as fast as float32 here"
            )
            yield Choice(arithmetic, reason, ratios)


def _speeds(model: Model, tokenizer: Tokenizer, *, has_bfloat16: bool) -> dict[Arithmetic, float]:
    """Time the types of activations first, then int8 with the faster one.

    What is preferred among equally fast ones comes first.
    """
    floats = [FLOAT32, BFLOAT16] if has_bfloat16 else [FLOAT32]
    speeds = layer_speeds(model, floats, tokenizer)
    fastest = next(_fastest_first(speeds))
    # With known ranges there is less to do for each token, on every processor.
    products: Products = "static int8" if model.weights.has_input_ranges else "int8"
    return speeds | layer_speeds(model, [Arithmetic(products, fastest.activations)], tokenizer)


def _fastest_first(speeds: Mapping[Arithmetic, float]) -> Iterator[Arithmetic]:
    """From the fastest; of nearly equal ones, the one that comes first in the mapping."""
    left = dict(speeds)
    while left:
        best = next(iter(left))
        for each, speed in left.items():
            if speed > _WORTH_CHANGING * left[best]:
                best = each
        del left[best]
        yield best
