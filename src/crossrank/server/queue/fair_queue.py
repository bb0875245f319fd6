"""Which pairs come next, by weighted fair queueing.

Each request gets a virtual finishing time, the one that it would have if all requests shared the model
equally by tokens, and requests are served in the order of these times. So a small request overtakes a large
one that came earlier, and none finishes later than with equal shares.

Source: Demers, Keshav and Shenker, Analysis and Simulation of a Fair Queueing Algorithm, 1989.
"""

from __future__ import annotations

import time
from bisect import insort_right
from collections.abc import Iterator, Sequence
from math import isfinite

from crossrank.errors import ModelError
from crossrank.inference.pairs import Pair
from crossrank.server.queue.job import Input, Job, TooLongError
from crossrank.server.request import RequestError

# A group of equal lengths, which is what an engine computes as one batch.
_ROWS_A_GROUP, _TOKENS_A_GROUP = 16, 1024


class FairQueue:
    """The jobs that wait or run, and their inputs. Its callers see to it that one of them calls at a time.

    Attributes:
        jobs: In the order of their virtual finishing times.
        inputs: What waits or runs, by pair.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.inputs: dict[Pair, Input] = {}
        self._virtual = 0.0

    def add(self, job: Job) -> None:
        """Add a job."""
        job.finish = self._virtual + job.cost
        insort_right(self.jobs, job, key=lambda other: other.finish)

    def tokens_before(self, job: Job) -> float:
        """The estimated tokens of what is served before a job that is added now."""
        finish = self._virtual + job.cost
        return sum(other.remaining for other in self.jobs if other.finish <= finish)

    def remove(self, job: Job) -> bool:
        """Take a job out; False if it is not there, so that somebody else answers for it.

        What other jobs do not need of it is not computed.
        """
        if job not in self.jobs:
            return False
        self.jobs.remove(job)
        for inputs in job.ready.values():
            for waiting in inputs:
                waiting.takers = [taker for taker in waiting.takers if taker[0] is not job]
                if not waiting.takers and not waiting.taken:
                    waiting.taken = True
                    self.inputs.pop(waiting.pair, None)
        job.ready.clear()
        job.waiting_inputs = 0
        return True

    def to_tokenise(self) -> Job | None:
        """The job whose pairs are tokenised next."""
        return next((job for job in self.jobs if job.wants_tokens), None)

    @property
    def has_ready(self) -> bool:
        """Whether there may be something to compute."""
        return any(job.ready for job in self.jobs)

    def attach(
        self, job: Job, portion: range, inputs: Sequence[Input], removed: Sequence[int]
    ) -> Exception | None:
        """Let the pairs of a portion wait for their inputs.

        Args:
            job: The job.
            portion: The positions of the pairs.
            inputs: The input of each.
            removed: How many tokens each passage has lost already.

        Returns:
            Why the job fails; None if it does not.
        """
        job.tokenised = portion.stop
        if job not in self.jobs:  # cancelled
            return None
        own: dict[Pair, Input] = {}
        for position, source, gone in zip(portion, inputs, removed, strict=True):
            source = own.get(source.pair, source)
            if source.taken and source.logit is None and self.inputs.get(source.pair) is not source:
                # Dropped, or failed, while the portion was tokenised: nobody computes it.
                source = Input(source.pair, source.tokens, source.padded)
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
            self.inputs[source.pair] = source
            if not source.taken and source.pair not in own:
                job.add(source)
            own[source.pair] = source
        return None

    def take(self, budget: int) -> list[Input]:
        """The inputs to compute next, in groups of equal padded length.

        Args:
            budget: The number of tokens, with padding.
        """
        taken: list[Input] = []
        tokens = 0
        served = 0
        now = time.monotonic()
        for number, leader in enumerate(self.jobs):
            while leader.ready and tokens < budget:
                padded = max(leader.ready)
                room = max(1, min(_ROWS_A_GROUP, min(_TOKENS_A_GROUP, budget - tokens) // padded))
                for own in self._of_length(padded, number, room):
                    own.taken = True
                    for job, _ in own.takers:
                        if job.started is None:
                            job.started = now
                    taken.append(own)
                    tokens += padded
                    served += len(own.tokens.ids)
            if tokens >= budget:
                break
        if self.jobs:
            self._virtual += served / len(self.jobs)
        return taken

    def _of_length(self, padded: int, first: int, most: int) -> Iterator[Input]:
        """Inputs of a length: those of the job at ``first``, then of those after it."""
        for job in self.jobs[first:]:
            while most and (own := job.next_of(padded)) is not None:
                most -= 1
                yield own
            if not most:
                return

    def settle(
        self, inputs: Sequence[Input], logits: Sequence[float], error: Exception | None, name: str
    ) -> tuple[list[Job], dict[Job, Exception]]:
        """Give the logits to all jobs that wait for them.

        Args:
            inputs: What was computed.
            logits: The logit of each.
            error: Why there are none.
            name: The model's name, for errors.

        Returns:
            The jobs that are complete, and those that failed, with the reason; they are no longer here.
        """
        complete: list[Job] = []
        failed: dict[Job, Exception] = {}
        for own, logit in zip(inputs, logits, strict=True):
            self.inputs.pop(own.pair, None)
            bad = error or (None if isfinite(logit) else _not_finite(name, own.pair))
            if bad is None:
                own.logit = logit
            for job, position in own.takers:
                if bad is not None:
                    failed[job] = bad
                    continue
                job.scored.logits[position] = logit
                job.done += 1
                if job.is_done and self.remove(job):
                    complete.append(job)
            own.takers.clear()
        return complete, {job: reason for job, reason in failed.items() if self.remove(job)}


def _not_finite(name: str, pair: Pair) -> ModelError:
    return ModelError(f"{name} gave a score that is not a number for a passage of {len(pair[1])} characters")
