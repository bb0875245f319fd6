"""A request in the queue: its pairs, how they are cut, and what the model says of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import CrossrankError
from crossrank.inference.pairs import Pair

if TYPE_CHECKING:
    from crossrank.inference.tokenizer import Tokens

# Pairs that are tokenised at a time: few at first, so that the model can start, then a bounded number.
FIRST_PORTION, PORTION = 64, 1024
_CHARACTERS_A_PORTION = 500_000


class TooLongError(CrossrankError):
    """A text is longer than the model reads, and was not to be truncated.

    Attributes:
        position: The position of its pair.
        tokens: How many tokens it is too long.
    """

    def __init__(self, position: int, tokens: int) -> None:
        super().__init__(f"pair {position} is {tokens} tokens too long for the model")
        self.position, self.tokens = position, tokens


@dataclass(frozen=True, slots=True)
class Cut:
    """How the pairs of a request are cut, and how many tokens they may have.

    Attributes:
        truncate: Whether pairs that are too long are truncated; otherwise the job fails.
        max_tokens: The tokens that all pairs may have together; with more, the job fails. None: any number.
        document_tokens: The tokens that are read of a passage; None: as many as the model reads.
        pair_tokens: The tokens that are read of a pair; None: as many as the model reads.
        keep_end: Whether a passage loses its beginning, and not its end.
    """

    truncate: bool = True
    max_tokens: int | None = None
    document_tokens: int | None = None
    pair_tokens: int | None = None
    keep_end: bool = False


PLAIN = Cut()
"""Pairs are cut to what the model reads."""


@dataclass(slots=True)
class Scored:
    """What the model says of the pairs of a request, and how long that took.

    Attributes:
        logits: float32 [n].
        truncated: How many tokens of each passage the model did not read, [n].
        tokens: How many tokens of each pair it read, [n].
        tokenisation: Seconds of tokenisation.
        waiting: Seconds in the queue.
        inference: Seconds from the first pair's batch to the end of the last one's.
    """

    logits: NDArray[np.float32]
    truncated: NDArray[np.intp]
    tokens: NDArray[np.intp]
    tokenisation: float = 0.0
    waiting: float = 0.0
    inference: float = 0.0


@dataclass(slots=True, eq=False)
class Input:
    """A distinct pair that is waiting, running or done, and where its logit is to go."""

    pair: Pair
    tokens: Tokens
    padded: int
    takers: list[tuple[Job, int]] = field(default_factory=list)
    taken: bool = False
    logit: float | None = None


class Job:
    """The pairs of a request in the queue.

    Attributes:
        future: Holds a :class:`Scored` when all pairs are scored, or the error.
        done: How many pairs are scored.
    """

    def __init__(self, pairs: Sequence[Pair], cost: float, cut: Cut) -> None:
        self.pairs, self.cost, self.cut = pairs, cost, cut
        self.future: Future[Scored] = Future()
        self.done = 0
        self.finish = 0.0
        # Inputs that wait, by padded length.
        self.ready: dict[int, deque[Input]] = {}
        self.waiting_inputs = 0
        self.tokenised = self.tokens = 0
        self.submitted = time.monotonic()
        self.started: float | None = None
        count = len(pairs)
        self.scored = Scored(np.empty(count, np.float32), np.zeros(count, np.intp), np.zeros(count, np.intp))

    @property
    def remaining(self) -> float:
        """The estimated tokens of the pairs that are not scored yet."""
        return self.cost * (1 - self.done / len(self.pairs))

    @property
    def is_done(self) -> bool:
        """Whether all pairs are scored."""
        return self.done == len(self.pairs)

    @property
    def wants_tokens(self) -> bool:
        """Whether pairs are to be tokenised: there are some, and not too many that are tokenised wait."""
        return self.tokenised < len(self.pairs) and self.waiting_inputs < PORTION

    def next_portion(self) -> range:
        """The positions of the pairs to tokenise next."""
        start = self.tokenised
        end = min(start + (PORTION if start else FIRST_PORTION), len(self.pairs))
        characters = 0
        for position in range(start, end):
            query, passage = self.pairs[position]
            characters += len(query) + len(passage)
            if characters > _CHARACTERS_A_PORTION:
                return range(start, position + 1)
        return range(start, end)

    def add(self, waiting: Input) -> None:
        """Let an input wait for this job."""
        self.ready.setdefault(waiting.padded, deque()).append(waiting)
        self.waiting_inputs += 1

    def next_of(self, padded: int) -> Input | None:
        """The next input of a length that still has to be computed; it no longer waits for this job."""
        inputs = self.ready.get(padded)
        while inputs:
            first = inputs.popleft()
            self.waiting_inputs -= 1
            if not inputs:
                del self.ready[padded]
            if not first.taken:
                return first
        return None

    def complete(self) -> None:
        """Give the scores to the caller."""
        now = time.monotonic()
        started = self.started or now
        self.scored.waiting = max(0.0, started - self.submitted - self.scored.tokenisation)
        self.scored.inference = now - started
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(self.scored)

    def fail(self, error: Exception) -> None:
        """Give an error to the caller."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)
