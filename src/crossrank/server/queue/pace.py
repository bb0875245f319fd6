"""How long a request takes, estimated from its characters and from what was done before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossrank.inference.pairs import Pair

if TYPE_CHECKING:
    from crossrank.inference.tokenizer import Tokens

# The speed is measured over this many seconds of work.
_WINDOW = 0.5


class Pace:
    """The tokens of texts, and the speed of a model.

    Args:
        limit: The tokens that the model reads of a pair.

    Attributes:
        characters_a_token: The mean of the texts so far.
        speed: Tokens per second of work; None if nothing was measured yet.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.characters_a_token = 4.0
        self.speed: float | None = None
        self._began, self._tokens = 0.0, 0

    def tokens_of(self, pairs: Sequence[Pair]) -> float:
        """About how many tokens pairs have that are not tokenised; at least 1."""
        characters = sum(len(query) + len(passage) for query, passage in pairs)
        tokens = characters / self.characters_a_token + 4 * len(pairs)
        return max(1.0, min(tokens, len(pairs) * float(self._limit)))

    def learn_length(self, pairs: Sequence[Pair], tokens: Sequence[Tokens]) -> None:
        """Learn from pairs that were tokenised."""
        whole = [
            (len(pair[0]) + len(pair[1]), len(own.ids))
            for pair, own in zip(pairs, tokens, strict=True)
            if not own.truncated
        ]
        if whole:
            characters, count = (sum(values) for values in zip(*whole, strict=True))
            self.characters_a_token += 0.1 * (max(characters / count, 0.5) - self.characters_a_token)

    def start(self) -> None:
        """The model starts to work after it did nothing."""
        self._began, self._tokens = time.monotonic(), 0

    def learn_speed(self, tokens: int, *, goes_on: bool) -> None:
        """Learn from tokens that were computed.

        Args:
            tokens: How many.
            goes_on: Whether the model still computes others.
        """
        self._tokens += tokens
        spent = time.monotonic() - self._began
        if spent >= _WINDOW or (not goes_on and spent > 0.02):
            speed = self._tokens / spent
            self.speed = speed if self.speed is None else self.speed + 0.5 * (speed - self.speed)
            self.start()
