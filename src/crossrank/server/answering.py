"""Requests through the model: what was asked for, what goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from crossrank.errors import InputError, ModelError
from crossrank.server.request import RequestError, RerankAnswer, RerankRequest, Result
from crossrank.server.wire import Body, WireFormat

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder

# Pairs that are tokenised at a time, which bounds the memory for their tokens.
_PORTION = 4096
Progress = Callable[[int], object]


def answer_body(
    wire: WireFormat,
    model: CrossEncoder,
    body: Body,
    content_type: str | None = None,
    accept: str | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[bytes, str]:
    """Score what came in one body.

    Args:
        wire: The format of the body and its answer.
        model: The cross-encoder.
        body: As for :meth:`crossrank.server.wire.WireFormat.read`, and so are the next two.
        content_type: Of the body.
        accept: What the answer may be.
        progress: Called with the number of pairs scored since the last call; what it raises ends the work.

    Returns:
        The body of the answer and its content type.

    Raises:
        RequestError: The request cannot be answered; its status says whose fault that is.

    Example:
        >>> from crossrank import CrossEncoder
        >>> from crossrank.server.wire.sagemaker import SageMaker
        >>> answer_body(SageMaker(), CrossEncoder(), b'{"pairs": []}')
        (b'{"scores": []}', 'application/json')
    """
    call = wire.read(body, content_type, accept)
    try:
        return call.write(answer_requests(model, call.requests, progress=progress)), call.answer_type
    except RequestError as error:
        error.wire = call.wire
        raise


def answer_requests(
    model: CrossEncoder, requests: Sequence[RerankRequest], *, progress: Progress | None = None
) -> list[RerankAnswer]:
    """Score the documents of all requests together.

    Args:
        model: The cross-encoder.
        requests: The requests.
        progress: As for :func:`answer_body`.

    Returns:
        One answer for each request, in their order.

    Raises:
        RequestError: A text is no valid Unicode, or too long where it must not be cut (400); the model
            failed (500).

    Example:
        >>> from crossrank import CrossEncoder
        >>> from crossrank.server.request import SentDocument
        >>> texts = ["A tide table.", "Bakers bake bread."]
        >>> request = RerankRequest("Who bakes bread?", [SentDocument(text, text) for text in texts], top_n=1)
        >>> [answer] = answer_requests(CrossEncoder(), [request])
        >>> [result.index for result in answer.best()]
        [1]
    """
    pairs = [pair for request in requests for pair in request.pairs]
    try:
        logits, truncated = model.logits(pairs, progress=progress)
    except InputError as error:
        raise RequestError(400, str(error)) from error
    except ModelError as error:
        raise RequestError(500, str(error)) from error
    # Of any model: thresholds of applications expect scores from 0 to 1, whatever activation was saved.
    scores = model.scoring.scores(logits, "sigmoid")
    portions = [pairs[start : start + _PORTION] for start in range(0, len(pairs), _PORTION)]
    tokens = [len(tokens.ids) for portion in portions for tokens in model.tokenizer.pairs(portion)]
    answers = []
    start = 0
    for request in requests:
        part = slice(start, start + len(request.documents))
        start = part.stop
        shown = logits if request.raw_scores else scores
        scored = zip(
            request.documents,
            logits[part].tolist(),
            shown[part].tolist(),
            truncated[part].tolist(),
            tokens[part],
            strict=True,
        )
        results = [Result(index, *values) for index, values in enumerate(scored)]
        if not request.truncate:
            _refuse_truncated(results)
        answers.append(RerankAnswer(request, results, model.name))
    return answers


def _refuse_truncated(results: Sequence[Result]) -> None:
    for result in results:
        if result.truncated_tokens:
            raise RequestError(
                400,
                f"document {result.index} is {result.truncated_tokens} tokens too long for the model; "
                "split it, or let it be truncated",
            )
