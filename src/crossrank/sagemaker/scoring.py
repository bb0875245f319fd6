"""One body through the model: what came in, what goes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crossrank.errors import InputError, ModelError
from crossrank.sagemaker.requests import RequestError, read_invocation

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder


def answer_body(
    model: CrossEncoder,
    body: bytes | bytearray | str,
    content_type: str | None = None,
    accept: str | None = None,
    *,
    progress: Callable[[int], object] | None = None,
) -> tuple[bytes, str]:
    """Score what came in one body.

    Args:
        model: The cross-encoder.
        body: As for :func:`crossrank.sagemaker.requests.read_invocation`, and so are the next two.
        content_type: Of the body.
        accept: What the answer may be.
        progress: Called with the number of pairs scored since the last call; what it raises ends the work.

    Returns:
        The body of the answer and its content type.

    Raises:
        RequestError: The request cannot be answered; its status says whose fault that is.

    Example:
        >>> from crossrank import CrossEncoder
        >>> answer_body(CrossEncoder(), b'{"pairs": []}')
        (b'{"scores": []}', 'application/json')
    """
    invocation = read_invocation(body, content_type, accept)
    try:
        logits, _ = model.logits(invocation.pairs, progress=progress)
    except InputError as error:
        raise RequestError(400, str(error)) from error
    except ModelError as error:
        raise RequestError(500, str(error)) from error
    return invocation.answer(logits.tolist()), invocation.answer_type
