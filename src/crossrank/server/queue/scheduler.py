"""The queue of one model, with its threads: what is admitted, tokenised and run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossrank.inference.batching import padded_length
from crossrank.inference.pairs import Pair
from crossrank.server.queue.fair_queue import FairQueue
from crossrank.server.queue.job import PLAIN, Cut, Input, Job
from crossrank.server.queue.kept import keep_logits, kept_logits
from crossrank.server.queue.pace import Pace
from crossrank.server.queue.tokenising import shortened
from crossrank.server.request import RequestError

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder

# Two, so that one computes while the other distributes results and takes the next inputs.
_RUNNERS = 2


class BusyError(RequestError):
    """The queue cannot answer a request in time."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(429, message, retry_after=retry_after)


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
        >>> int(job.future.result().logits.argmax())
        0
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
        self._queue, self._pace = FairQueue(), Pace(self._limit)
        self._closed = False
        self._running = 0
        # Two conditions of one lock, so that only a thread with something to do wakes up.
        self._lock = threading.RLock()
        self._to_tokenise, self._to_run = threading.Condition(self._lock), threading.Condition(self._lock)
        works = {"tokeniser": self._tokenise} | {f"runner-{n}": self._run for n in range(_RUNNERS)}
        self._threads = [
            threading.Thread(target=work, name=f"crossrank-{name}", daemon=True)
            for name, work in works.items()
        ]
        for thread in self._threads:
            thread.start()

    @property
    def requests(self) -> int:
        """The number of requests that wait or run."""
        return len(self._queue.jobs)

    @property
    def waiting_pairs(self) -> int:
        """The number of pairs that are not scored yet."""
        with self._lock:
            return sum(len(job.pairs) - job.done for job in self._queue.jobs)

    @property
    def waiting_seconds(self) -> float:
        """About how long the model needs for what waits or runs; 0 while its speed is not known."""
        speed = self._pace.speed
        with self._lock:
            return sum(job.remaining for job in self._queue.jobs) / speed if speed else 0.0

    def submit(self, pairs: Sequence[Pair], cut: Cut = PLAIN, *, patient: bool = False) -> Job:
        """Add a request, whole or not at all.

        Args:
            pairs: (query, passage) tuples.
            cut: How they are cut.
            patient: Whether the caller waits for as long as it takes.

        Raises:
            BusyError: There are too many requests, or what waits would take too long.
            RequestError: The queue is closed.
        """
        job = Job(pairs, self._pace.tokens_of(pairs), cut)
        if not pairs:
            job.future.set_result(job.scored)
            return job
        with self._lock:
            if self._closed:
                raise RequestError(503, "the server is stopping; ask another one, or again later")
            self._admit(job, patient=patient)
            self._queue.add(job)
            self._to_tokenise.notify()
        return job

    def _admit(self, job: Job, *, patient: bool) -> None:
        """Refuse a job that would not be done in time."""
        jobs, speed = self._queue.jobs, self._pace.speed
        if len(jobs) >= self._most_requests:
            raise BusyError(
                f"the server is busy with {len(jobs)} requests; try again later",
                jobs[0].remaining / speed if speed else 1.0,
            )
        if patient or speed is None or not jobs:
            return
        before = self._queue.tokens_before(job)
        wait = (before + job.cost) / speed
        # Nothing is before it: however long it takes, later is no better.
        if before and wait > self._longest_wait:
            raise BusyError(
                f"the server is busy: an answer would take about {wait:.0f} seconds; try again later",
                wait - self._longest_wait,
            )

    def cancel(self, job: Job) -> None:
        """Drop a job; what other jobs do not need of it is not computed."""
        if self._remove(job):
            job.future.cancel()

    def close(self, *, wait: bool = True) -> None:
        """Refuse further requests, and end when those that are here are done.

        Args:
            wait: Whether to wait for that; otherwise the requests fail.
        """
        with self._lock:
            self._closed = True
            jobs = [] if wait else list(self._queue.jobs)
            self._wake_all()
        for job in jobs:
            self._fail(job, RequestError(503, "the server is stopping; ask another one, or again later"))
        for thread in self._threads:
            thread.join()

    def _remove(self, job: Job) -> bool:
        """Take a job out of the queue; False if it is not there, so that somebody else answers for it."""
        with self._lock:
            removed = self._queue.remove(job)
            self._wake_if_finished()
        return removed

    def _fail(self, job: Job, error: Exception) -> None:
        if self._remove(job):
            job.fail(error)

    @property
    def _finished(self) -> bool:
        return self._closed and not self._queue.jobs

    def _wake_if_finished(self) -> None:
        """Let the threads of a closed queue end when there is no job."""
        if self._finished:
            self._wake_all()

    def _wake_all(self) -> None:
        self._to_tokenise.notify_all()
        self._to_run.notify_all()

    def _tokenise(self) -> None:
        """Tokenise what comes next, portion by portion."""
        while True:
            with self._lock:
                while (job := self._queue.to_tokenise()) is None:
                    if self._finished:
                        return
                    self._to_tokenise.wait()
                portion = job.next_portion()
            try:
                self._tokenise_portion(job, portion)
            except Exception as error:  # whatever it is, the caller gets it
                self._fail(job, error)

    def _tokenise_portion(self, job: Job, portion: range) -> None:
        """Tokenise some pairs of a job, and let them wait for the model."""
        started = time.monotonic()
        pairs, removed = shortened(
            self._model, [job.pairs[at] for at in portion], job.cut, self._pace.characters_a_token
        )
        with self._lock:
            known = {pair: self._queue.inputs[pair] for pair in pairs if pair in self._queue.inputs}
        new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
        # Those of the score cache are tokenised, too: an answer says how many tokens there are.
        tokens, logits = self._model.tokenised(new), kept_logits(self._model, new)
        spent = time.monotonic() - started
        with self._lock:
            self._pace.learn_length(new, tokens)
            for pair, own, logit in zip(new, tokens, logits, strict=True):
                known[pair] = Input(pair, own, padded_length(len(own.ids), self._limit), logit=logit)
            job.scored.tokenisation += spent
            wrong = self._queue.attach(job, portion, [known[pair] for pair in pairs], removed)
            complete = job.is_done and self._remove(job)
            # Inputs of others with the same length are computed with these, so one runner is enough.
            self._to_run.notify()
        if wrong is not None:
            raise wrong
        if complete:
            job.complete()

    def _run(self) -> None:
        """Compute what comes next."""
        while True:
            with self._lock:
                while not (inputs := self._queue.take(self._model.tokens_at_once)):
                    if self._finished:
                        return
                    # Of what a job waited for, others may have had all computed: there is room for more.
                    if self._queue.to_tokenise():
                        self._to_tokenise.notify()
                    self._to_run.wait()
                if not self._running:
                    self._pace.start()
                self._running += 1
                if self._queue.has_ready:  # for the other runner
                    self._to_run.notify()
                if self._queue.to_tokenise():  # there is room for more now
                    self._to_tokenise.notify()
            started = time.monotonic()
            try:
                logits: list[float] = self._model.logits_of([own.tokens for own in inputs]).tolist()
                error: Exception | None = None
            except Exception as caught:  # whatever it is, those who wait get it
                logits, error = [0.0] * len(inputs), caught
            else:
                keep_logits(self._model, inputs, logits)
            self._finish(inputs, logits, error, time.monotonic() - started)

    def _finish(
        self, inputs: Sequence[Input], logits: Sequence[float], error: Exception | None, seconds: float
    ) -> None:
        """Give the logits to all who wait for them."""
        tokens = sum(len(own.tokens.ids) for own in inputs)
        with self._lock:
            self._running -= 1
            complete, failed = self._queue.settle(inputs, logits, error, self._model.name)
            self._pace.learn_speed(tokens, goes_on=self._running > 0)
            self._wake_if_finished()
        for job in complete:
            job.complete()
        for job, reason in failed.items():
            job.fail(reason)
        padding = sum(own.padded for own in inputs) - tokens
        self._observe(Step(len(inputs), tokens, padding, seconds))
