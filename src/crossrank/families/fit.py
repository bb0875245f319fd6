"""Whether a model's config.json and its tensors belong together."""

from __future__ import annotations

import re

from crossrank.errors import ModelError
from crossrank.families.model import Model

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def check_layers(model: Model, count: int) -> None:
    """Check that there are as many layers of tensors as config.json says; fewer would be computed silently.

    Args:
        model: A model with safetensors.
        count: The number of layers by config.json.

    Raises:
        ModelError: There are more.
    """
    numbers = [int(found[1]) for name in model.weights.names() if (found := _LAYER.search(name))]
    there = max(numbers, default=-1) + 1
    if there > count:
        raise ModelError(
            f"{model.name}: config.json and the weights do not belong together: config.json speaks of "
            f"{count} layers, and the weights have {there}"
        )


def check_table(model: Model, tensor: str, shape: tuple[int, ...], *, rows: int | None, width: int) -> None:
    """Check that a table of vectors has the shape that config.json speaks of.

    Args:
        model: The model.
        tensor: The table's name.
        shape: Its shape.
        rows: Rows by config.json, None if it does not say.
        width: Numbers of a vector by config.json.

    Raises:
        ModelError: It has another.
    """
    # Words alone may be fewer than rows: some publishers fill the table up to a round number.
    more = "word" in tensor or "tok_" in tensor
    fits = rows is None or shape[0] == rows or (more and shape[0] > rows)
    if not fits or shape[1:] != (width,):
        raise ModelError(
            f"{model.name}: config.json and the weights do not belong together: {tensor} should be "
            f"{shape[0] if rows is None else rows}x{width} and is {'x'.join(map(str, shape))}"
        )
