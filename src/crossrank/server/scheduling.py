"""One queue over all requests to a model.

Pairs of all waiting requests are batched together. Which of them come next is decided by weighted fair
queueing (Demers, Keshav and Shenker, 1989): each request gets a virtual finishing time, the one that it would
have if all requests shared the model equally by tokens, and requests are served in the order of these times.
So a small request overtakes a large one that came earlier, and none finishes later than with equal shares.

Tokenisation and the model run on threads of the queue. Equal pairs that wait at one time are scored once.
"""

from __future__ import annotations

import threading
import time
from bisect import insort_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import CrossrankError, ModelError
from crossrank.inference.batching import padded_length
from crossrank.inference.pairs import Pair
from crossrank.server.request import RequestError

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder
    from crossrank.inference.tokenizer import Tokens

# Pairs that are tokenised at a time: few at first, so that the model can start, then a bounded number.
_FIRST_PORTION, _PORTION = 64, 1024
_CHARACTERS_A_PORTION = 500_000
# No text needs so many characters for each token that the model reads.
_CHARACTERS_READ_A_TOKEN = 256
# A group of equal lengths, which is what an engine computes as one batch.
_ROWS_A_GROUP, _TOKENS_A_GROUP = 16, 1024
# Two, so that one computes while the other distributes results and takes the next inputs.
_RUNNERS = 2
# The speed is measured over this many seconds of work.
_WINDOW = 0.5


class BusyError(RequestError):
    """The queue cannot answer a request in time."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(429, message, retry_after=retry_after)


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
        keep_end: Whether a passage loses its beginning, and not its end.
    """

    truncate: bool = True
    max_tokens: int | None = None
    document_tokens: int | None = None
    keep_end: bool = False


_PLAIN = Cut()


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


@dataclass(frozen=True, slots=True)
class Step:
    """What was computed at once.

    Attributes:
        inputs: The number of inputs.
        tokens: Their tokens.
        padding: The tokens of padding that they need on a CPU.
        seconds: How long the model took.
    """

    inputs: int
    tokens: int
    padding: int
    seconds: float


@dataclass(slots=True, eq=False)
class _Input:
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
        self.ready: dict[int, deque[_Input]] = {}
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

    def next_portion(self) -> range:
        """The positions of the pairs to tokenise next."""
        start = self.tokenised
        end = min(start + (_PORTION if start else _FIRST_PORTION), len(self.pairs))
        characters = 0
        for position in range(start, end):
            query, passage = self.pairs[position]
            characters += len(query) + len(passage)
            if characters > _CHARACTERS_A_PORTION:
                return range(start, position + 1)
        return range(start, end)

    def add(self, waiting: _Input) -> None:
        """Let an input wait for this job."""
        self.ready.setdefault(waiting.padded, deque()).append(waiting)
        self.waiting_inputs += 1

    def next_of(self, padded: int) -> _Input | None:
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


class Scheduler:
    """The queue of one model. Thread-safe.

    Args:
        model: The model.
        longest_wait: A request whose answer would take longer than this, in seconds, is refused, unless it is
            the first.
        most_requests: The number of requests that may wait or run at a time.
        observe: Called with every step; must not block.

    Example:
        >>> from crossrank import CrossEncoder
        >>> scheduler = Scheduler(CrossEncoder())
        >>> job = scheduler.submit([("Who bakes bread?", "A baker."), ("Who bakes bread?", "A tide table.")])
        >>> job.future.result().logits.argmax()
        np.int64(0)
        >>> scheduler.close()
    """

    def __init__(
        self,
        model: CrossEncoder,
        *,
        longest_wait: float = 30.0,
        most_requests: int = 512,
        observe: Callable[[Step], object] = lambda step: None,
    ) -> None:
        self._model, self._longest_wait, self._most_requests = model, longest_wait, most_requests
        self._observe = observe
        self._limit = model.tokenizer.max_tokens
        self._budget = model.tokens_at_once
        self._change = threading.Condition()
        # In the order of their virtual finishing times.
        self._jobs: list[Job] = []
        self._inputs: dict[Pair, _Input] = {}
        self._virtual = 0.0
        self._closed = False
        self._characters_a_token = 4.0
        self._speed: float | None = None
        self._window = (0.0, 0)
        self._running = 0
        names = ["tokeniser", *(f"runner-{number}" for number in range(_RUNNERS))]
        works = [self._tokenise, *[self._run] * _RUNNERS]
        self._threads = [
            threading.Thread(target=work, name=f"crossrank-{name}", daemon=True)
            for name, work in zip(names, works, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def requests(self) -> int:
        """The number of requests that wait or run."""
        return len(self._jobs)

    @property
    def waiting_pairs(self) -> int:
        """The number of pairs that are not scored yet."""
        with self._change:
            return sum(len(job.pairs) - job.done for job in self._jobs)

    def submit(self, pairs: Sequence[Pair], cut: Cut = _PLAIN, *, patient: bool = False) -> Job:
        """Add a request, whole or not at all.

        Args:
            pairs: (query, passage) tuples.
            cut: How they are cut.
            patient: Whether the caller waits for as long as it takes.

        Raises:
            BusyError: There are too many requests, or what waits would take too long.
            RequestError: The queue is closed.
        """
        characters = sum(len(query) + len(passage) for query, passage in pairs)
        cost = min(characters / self._characters_a_token + 4 * len(pairs), len(pairs) * float(self._limit))
        job = Job(pairs, max(cost, 1.0), cut)
        if not pairs:
            job.future.set_result(job.scored)
            return job
        with self._change:
            if self._closed:
                raise RequestError(503, "the server is stopping; ask another one, or again later")
            self._admit(job, patient=patient)
            job.finish = self._virtual + job.cost
            insort_right(self._jobs, job, key=lambda other: other.finish)
            self._change.notify_all()
        return job

    def _admit(self, job: Job, *, patient: bool) -> None:
        """Refuse a job that would not be done in time."""
        if len(self._jobs) >= self._most_requests:
            raise BusyError(
                f"the server is busy with {len(self._jobs)} requests; try again later", self._time_of_first()
            )
        if patient or self._speed is None or not self._jobs:
            return
        finish = self._virtual + job.cost
        ahead = sum(other.remaining for other in self._jobs if other.finish <= finish)
        wait = (ahead + job.cost) / self._speed
        # Nothing is ahead: however long it takes, later is no better.
        if ahead and wait > self._longest_wait:
            raise BusyError(
                f"the server is busy: an answer would take about {wait:.0f} seconds; try again later",
                wait - self._longest_wait,
            )

    def _time_of_first(self) -> float:
        """About how many seconds it takes until a request is done."""
        return self._jobs[0].remaining / self._speed if self._jobs and self._speed else 1.0

    def cancel(self, job: Job) -> None:
        """Drop a job; what other jobs do not need of it is not computed."""
        with self._change:
            removed = self._remove(job)
        if removed:
            job.future.cancel()

    def close(self, *, wait: bool = True) -> None:
        """Refuse further requests, and end when those that are here are done.

        Args:
            wait: Whether to wait for that; otherwise the requests fail.
        """
        with self._change:
            self._closed = True
            jobs = [] if wait else [job for job in list(self._jobs) if self._remove(job)]
            self._change.notify_all()
        for job in jobs:
            _fail(job, RequestError(503, "the server is stopping; ask another one, or again later"))
        for thread in self._threads:
            thread.join()

    def _remove(self, job: Job) -> bool:
        """Take a job out of the queue; False if it is not there, so that somebody else answers for it."""
        if job not in self._jobs:
            return False
        self._jobs.remove(job)
        for inputs in job.ready.values():
            for waiting in inputs:
                waiting.takers = [taker for taker in waiting.takers if taker[0] is not job]
                if not waiting.takers and not waiting.taken:
                    waiting.taken = True
                    self._inputs.pop(waiting.pair, None)
        job.ready.clear()
        job.waiting_inputs = 0
        # The closed queue's threads end when there is no job.
        self._change.notify_all()
        return True

    # Tokenisation

    def _tokenise(self) -> None:
        while True:
            with self._change:
                while (job := self._next_to_tokenise()) is None:
                    if self._closed and not self._jobs:
                        return
                    self._change.wait()
                portion = job.next_portion()
                pairs = [job.pairs[position] for position in portion]
            started = time.monotonic()
            try:
                pairs, removed = self._shortened(pairs, job.cut)
            except Exception as error:
                self._drop(job, error)
                continue
            with self._change:
                known = {pair: self._inputs[pair] for pair in pairs if pair in self._inputs}
            new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
            try:
                tokens = self._model.tokenised(new)
            except Exception as error:
                self._drop(job, error)
                continue
            spent = time.monotonic() - started
            with self._change:
                self._learn_length(new, tokens)
                for pair, own in zip(new, tokens, strict=True):
                    known[pair] = _Input(pair, own, padded_length(len(own.ids), self._limit))
                job.scored.tokenisation += spent
                wrong = self._attach(job, portion, [known[pair] for pair in pairs], removed)
                finished = job.done == len(job.pairs) and self._remove(job)
                self._change.notify_all()
            if wrong is not None:
                self._drop(job, wrong)
            elif finished:
                _complete(job)

    def _next_to_tokenise(self) -> Job | None:
        for job in self._jobs:
            if job.tokenised < len(job.pairs) and job.waiting_inputs < _PORTION:
                return job
        return None

    def _shortened(self, pairs: list[Pair], cut: Cut) -> tuple[list[Pair], list[int]]:
        """The pairs as they are to be read, and the number of tokens that this cuts off each passage."""
        bounded = [self._bounded(pair, keep_end=cut.keep_end) for pair in pairs]
        pairs, removed = [pair for pair, _ in bounded], [tokens for _, tokens in bounded]
        tokens = cut.document_tokens
        if cut.keep_end or (tokens is not None and tokens < self._limit):
            shortened = self._model.shortened(pairs, passage_tokens=tokens, keep_end=cut.keep_end)
            pairs = [pair for pair, _ in shortened]
            removed = [gone + more for gone, (_, more) in zip(removed, shortened, strict=True)]
        return pairs, removed

    def _bounded(self, pair: Pair, *, keep_end: bool) -> tuple[Pair, int]:
        """The pair without what is far beyond the model's limit, and about how many tokens that is.

        The whole of a text of 50 MB would take a minute to tokenise.
        """
        most = _CHARACTERS_READ_A_TOKEN * self._limit
        query, passage = pair
        if len(query) <= most and len(passage) <= most:
            return pair, 0
        gone = round(max(0, len(passage) - most) / self._characters_a_token)
        return (query[:most], passage[-most:] if keep_end else passage[:most]), gone

    def _attach(
        self, job: Job, portion: range, inputs: Sequence[_Input], removed: Sequence[int]
    ) -> Exception | None:
        """Let the pairs of a portion wait for their inputs."""
        job.tokenised = portion.stop
        if job not in self._jobs:  # cancelled
            return None
        own: dict[Pair, _Input] = {}
        for position, source, gone in zip(portion, inputs, removed, strict=True):
            source = own.get(source.pair, source)
            if source.taken and source.logit is None and self._inputs.get(source.pair) is not source:
                # Dropped, or failed, while the portion was tokenised: nobody computes it.
                source = _Input(source.pair, source.tokens, source.padded)
            truncated = source.tokens.truncated + gone
            job.scored.truncated[position] = truncated
            job.scored.tokens[position] = len(source.tokens.ids)
            job.tokens += len(source.tokens.ids)
            if job.cut.max_tokens is not None and job.tokens > job.cut.max_tokens:
                return RequestError(
                    413,
                    f"the request has more than {job.cut.max_tokens:,} tokens (crossrank serve "
                    "--max-tokens); send its documents in several requests",
                )
            if truncated and not job.cut.truncate:
                return TooLongError(position, truncated)
            if source.logit is not None:  # computed while the portion was tokenised
                job.scored.logits[position] = source.logit
                job.done += 1
                continue
            source.takers.append((job, position))
            self._inputs[source.pair] = source
            if not source.taken and source.pair not in own:
                job.add(source)
            own[source.pair] = source
        return None

    def _learn_length(self, pairs: Sequence[Pair], tokens: Sequence[Tokens]) -> None:
        """Keep the estimate of the tokens of a request near what they are."""
        whole = [
            (len(pair[0]) + len(pair[1]), len(own.ids))
            for pair, own in zip(pairs, tokens, strict=True)
            if not own.truncated
        ]
        if whole:
            characters, count = (sum(values) for values in zip(*whole, strict=True))
            self._characters_a_token += 0.1 * (max(characters / count, 0.5) - self._characters_a_token)

    # The model

    def _run(self) -> None:
        while True:
            with self._change:
                while not (inputs := self._take()):
                    if self._closed and not self._jobs:
                        return
                    self._change.wait()
                if not self._running:
                    self._window = (time.monotonic(), 0)
                self._running += 1
            started = time.monotonic()
            try:
                logits: list[float] = self._model.logits_of([own.tokens for own in inputs]).tolist()
                error: Exception | None = None
            except Exception as caught:  # whatever it is, those who wait are told
                logits, error = [0.0] * len(inputs), caught
            self._finish(inputs, logits, error, time.monotonic() - started)

    def _take(self) -> list[_Input]:
        """The inputs to compute next, in groups of equal padded length, up to the budget of tokens."""
        taken: list[_Input] = []
        tokens = 0
        served = 0
        now = time.monotonic()
        for number, leader in enumerate(self._jobs):
            while leader.ready and tokens < self._budget:
                padded = max(leader.ready)
                room = max(1, min(_ROWS_A_GROUP, min(_TOKENS_A_GROUP, self._budget - tokens) // padded))
                for own in self._of_length(padded, number, room):
                    own.taken = True
                    for job, _ in own.takers:
                        if job.started is None:
                            job.started = now
                    taken.append(own)
                    tokens += padded
                    served += len(own.tokens.ids)
            if tokens >= self._budget:
                break
        if self._jobs:
            self._virtual += served / len(self._jobs)
        return taken

    def _of_length(self, padded: int, first: int, most: int) -> Iterator[_Input]:
        """Inputs of a length: those of the job at ``first``, then of those after it."""
        for job in self._jobs[first:]:
            while most and (own := job.next_of(padded)) is not None:
                most -= 1
                yield own
            if not most:
                return

    def _finish(
        self, inputs: Sequence[_Input], logits: Sequence[float], error: Exception | None, seconds: float
    ) -> None:
        """Give the logits to all who wait for them."""
        complete: list[Job] = []
        failed: dict[Job, Exception] = {}
        with self._change:
            self._running -= 1
            for own, logit in zip(inputs, logits, strict=True):
                self._inputs.pop(own.pair, None)
                bad = error or (None if isfinite(logit) else _not_finite(self._model.name, own.pair))
                if bad is None:
                    own.logit = logit
                for job, position in own.takers:
                    if bad is not None:
                        failed[job] = bad
                        continue
                    job.scored.logits[position] = logit
                    job.done += 1
                    if job.done == len(job.pairs) and self._remove(job):
                        complete.append(job)
                own.takers.clear()
            failed = {job: reason for job, reason in failed.items() if self._remove(job)}
            tokens = sum(len(own.tokens.ids) for own in inputs)
            self._measure(tokens)
            self._change.notify_all()
        for job in complete:
            _complete(job)
        for job, reason in failed.items():
            _fail(job, reason)
        padding = sum(own.padded for own in inputs) - tokens
        self._observe(Step(len(inputs), tokens, padding, seconds))

    def _measure(self, tokens: int) -> None:
        """Keep the measured speed, in tokens per second of work."""
        began, count = self._window
        count += tokens
        spent = time.monotonic() - began
        self._window = (began, count)
        if spent >= _WINDOW or (not self._running and spent > 0.02):
            speed = count / spent
            self._speed = speed if self._speed is None else self._speed + 0.5 * (speed - self._speed)
            self._window = (time.monotonic(), 0)

    def _drop(self, job: Job, error: Exception) -> None:
        with self._change:
            removed = self._remove(job)
        if removed:
            _fail(job, error)


def _complete(job: Job) -> None:
    now = time.monotonic()
    started = job.started or now
    job.scored.waiting = max(0.0, started - job.submitted - job.scored.tokenisation)
    job.scored.inference = now - started
    if job.future.set_running_or_notify_cancel():
        job.future.set_result(job.scored)


def _fail(job: Job, error: Exception) -> None:
    if job.future.set_running_or_notify_cancel():
        job.future.set_exception(error)


def _not_finite(name: str, pair: Pair) -> ModelError:
    return ModelError(f"{name} gave a score that is not a number for a passage of {len(pair[1])} characters")
