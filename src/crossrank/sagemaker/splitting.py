"""Pairs to requests that an endpoint takes: how they are written, and how many go into one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from crossrank.errors import InputError
from crossrank.inference.pairs import Pair
from crossrank.sagemaker.faults import EndpointAnswerError


class Wire(Protocol):
    """How pairs are written for an endpoint, and its answer read.

    Attributes:
        content_type: The MIME type of a request.
        accept: The MIME type of an answer.
    """

    content_type: str
    accept: str

    def encode(self, pairs: Sequence[Pair]) -> bytes:
        """The body of a request."""
        ...

    def decode(self, body: bytes) -> Sequence[float]:
        """The scores in an answer, in the order of the pairs.

        Raises:
            EndpointAnswerError: It is no answer of this kind.
        """
        ...


class JsonPairs:
    """``{"pairs": [[query, passage], ...]}`` to ``{"scores": [...]}``.

    The notebook's inference.py and crossrank's own both read it; LangChain's archived class wrote
    ``text_pairs``, which the notebook's does not know.
    """

    content_type = "application/json"
    accept = "application/json"

    def encode(self, pairs: Sequence[Pair]) -> bytes:
        """The body of a request, in UTF-8."""
        # Without \\u escapes a Chinese character takes three bytes of the limit instead of six.
        return json.dumps({"pairs": pairs}, ensure_ascii=False, separators=(",", ":")).encode()

    def decode(self, body: bytes) -> Sequence[float]:
        """The scores in an answer."""
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise EndpointAnswerError(f"the answer is not JSON: {_start(body)}") from error
        scores = answer.get("scores") if isinstance(answer, dict) else None
        if not isinstance(scores, list):
            raise EndpointAnswerError(f'the answer has no list of "scores": {_start(body)}')
        return scores


def split(pairs: Sequence[Pair], wire: Wire, *, max_pairs: int, max_bytes: int) -> list[slice]:
    """Cut pairs into parts, in order, each of which makes one request within the limits.

    Args:
        pairs: The pairs.
        wire: How they are written.
        max_pairs: The most pairs in a request.
        max_bytes: The longest body.

    Raises:
        InputError: A pair is too long for a request of its own, or is no two strings in valid Unicode.
    """
    parts = []
    for start in range(0, len(pairs), max_pairs):
        parts += _halved(pairs, slice(start, min(start + max_pairs, len(pairs))), wire, max_bytes)
    return parts


def _halved(pairs: Sequence[Pair], part: slice, wire: Wire, max_bytes: int) -> list[slice]:
    size = _size(pairs, part, wire)
    if size <= max_bytes:
        return [part]
    if part.stop - part.start == 1:
        raise InputError(
            f"pair {part.start} takes {size:,} bytes as a request, and the endpoint takes {max_bytes:,} "
            f"(max_bytes); split its passage, which begins {pairs[part.start][1]!r:.60}"
        )
    middle = (part.start + part.stop) // 2
    halves = (slice(part.start, middle), slice(middle, part.stop))
    return [piece for half in halves for piece in _halved(pairs, half, wire, max_bytes)]


def _size(pairs: Sequence[Pair], part: slice, wire: Wire) -> int:
    for position, pair in enumerate(pairs[part], start=part.start):
        if not all(isinstance(text, str) for text in pair):
            raise InputError(f"pair {position} must be two strings, [query, passage]; it is {pair!r:.80}")
    try:
        return len(wire.encode(pairs[part]))
    except UnicodeEncodeError as error:
        raise InputError(
            f"a text in pairs {part.start} to {part.stop - 1} holds lone surrogates (halves of a character), "
            f"which are not valid Unicode: {error.object[error.start : error.end + 40]!r}"
        ) from error


def _start(body: bytes) -> str:
    shown: Any = body[:200].decode(errors="replace")
    return f"it begins {shown!r}" if body else "it is empty"
