"""What the model says of the pairs of requests, as answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crossrank.errors import CrossrankError, InputError, ModelError, UncalibratedError
from crossrank.inference.pairs import Pair
from crossrank.server.queue.job import Cut, Scored, TooLongError
from crossrank.server.request import RequestError, RerankAnswer, RerankRequest, Result
from crossrank.server.wire import Body, WireFormat

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder


def answer_body(
    wire: WireFormat,
    model: CrossEncoder,
    body: Body,
    content_type: str | None = None,
    accept: str | None = None,
) -> tuple[bytes, str]:
    """Score what came in one body, without a queue: where something else calls with one body at a time.

    Args:
        wire: The format of the body and its answer.
        model: The cross-encoder.
        body: As for :meth:`crossrank.server.wire.WireFormat.read`, and so are the next two.
        content_type: Of the body.
        accept: What the answer may be.

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
    pairs = pairs_of(call.requests)
    try:
        logits, truncated = model.logits(pairs)
    except CrossrankError as error:  # any other is the caller's to log
        raise as_request_error(error, call.requests) from error
    scored = Scored(logits, truncated, np.zeros(len(pairs), np.intp))
    return call.write(answers_of(call.requests, scored, model, model.name)), call.answer_type


def pairs_of(requests: Sequence[RerankRequest]) -> list[Pair]:
    """(query, passage) for the documents of all requests."""
    return [pair for request in requests for pair in request.pairs]


def cut_of(requests: Sequence[RerankRequest], max_tokens: int | None) -> Cut:
    """How the pairs of the requests of one body are cut; the requests agree on it.

    Args:
        requests: The requests.
        max_tokens: The tokens that all pairs may have together.
    """
    if not requests:
        return Cut()
    first = requests[0]
    return Cut(first.truncate, max_tokens, first.document_tokens, first.pair_tokens, first.keep_end)


def answers_of(
    requests: Sequence[RerankRequest], scored: Scored, model: CrossEncoder, name: str
) -> list[RerankAnswer]:
    """One answer for each request.

    Args:
        requests: The requests.
        scored: What the model says of the pairs of all of them, in order.
        model: The model.
        name: What it is called in the answers.

    Raises:
        RequestError: A document is too long where it must not be truncated, or a least probability is asked
            of a model that is not calibrated (400).
    """
    # Of any model: thresholds of applications expect scores from 0 to 1, whatever activation was saved.
    scores = model.scoring.scores(scored.logits, "sigmoid")
    calibration = model.calibration
    answers = []
    start = 0
    for request in requests:
        if request.min_probability is not None and calibration is None:
            raise RequestError(400, str(UncalibratedError(name, "its logit alone")))
        part = slice(start, start + len(request.documents))
        start = part.stop
        logits = scored.logits[part].tolist()
        shown = logits if request.raw_scores else scores[part].tolist()
        known = [None] * len(logits) if calibration is None else calibration.probabilities(logits).tolist()
        columns = (logits, shown, scored.truncated[part].tolist(), scored.tokens[part].tolist(), known)
        rows = zip(request.documents, *columns, strict=True)
        results = [Result(index, *values) for index, values in enumerate(rows)]
        if not request.truncate:
            for result in results:
                if result.truncated_tokens:
                    raise too_long(result.index, result.truncated_tokens)
        answers.append(RerankAnswer(request, results, name))
    return answers


def as_request_error(error: BaseException, requests: Sequence[RerankRequest]) -> RequestError:
    """The answer to those who sent the requests, for an error."""
    match error:
        case RequestError():
            return error
        case TooLongError():
            position = error.position
            for request in requests:
                if position < len(request.documents):
                    break
                position -= len(request.documents)
            return too_long(position, error.tokens)
        case InputError():
            return RequestError(400, str(error))
        case ModelError():
            return RequestError(500, str(error))
        case _:
            return RequestError(500, f"the model failed ({type(error).__name__}); the server's log says more")


def too_long(index: int, tokens: int) -> RequestError:
    """The error for a document that must not be truncated."""
    return RequestError(
        400,
        f"document {index} is {tokens} tokens too long for the model; split it, or let it be truncated",
    )
