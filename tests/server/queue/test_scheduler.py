"""The queue over all requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from support.tiny_models import PAIRS

from crossrank.errors import InputError, ModelError
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.tokenizer import Tokens
from crossrank.server.queue.job import Cut, Job, TooLongError
from crossrank.server.queue.scheduler import BusyError, Scheduler, Step
from crossrank.server.request import RequestError

Pair = tuple[str, str]


@dataclass
class Slow:
    """A model whose logit is the passage's number of words, and that waits until it is let go.

    Attributes:
        go: Let it run.
        runs: The inputs of each run.
        tokens_at_once: See CrossEncoder.
    """

    tokens_at_once: int = 64
    go: threading.Event = field(default_factory=threading.Event)
    runs: list[list[int]] = field(default_factory=list)
    name: str = "slow"
    tokenizer: Any = field(default_factory=lambda: SimpleNamespace(max_tokens=64))
    seconds: float = 0.0
    kept_scores: None = None

    def tokenised(self, pairs: Sequence[Pair]) -> list[Tokens]:
        for _, passage in pairs:
            if "\ud800" in passage:
                raise InputError("a text holds lone surrogates")
        lengths = [len(passage.split()) for _, passage in pairs]
        return [
            Tokens(np.full(min(n, 64), n, np.int32), np.zeros(min(n, 64), np.int32), max(0, n - 64))
            for n in lengths
        ]

    def logits_of(self, inputs: Sequence[Tokens]) -> np.ndarray[Any, Any]:
        self.runs.append([int(own.ids[0]) for own in inputs])
        assert self.go.wait(20)
        time.sleep(self.seconds)
        logits = np.array([own.ids[0] for own in inputs], np.float32)
        if 13 in logits:
            raise ModelError("the device is out of memory")
        return np.where(logits == 7, np.nan, logits)


def words(count: int, name: str = "") -> Pair:
    """A pair of this many tokens; others have another name."""
    return ("q", " ".join([f"w{name}"] * count))


@pytest.fixture
def model() -> Slow:
    return Slow()


@pytest.fixture
def queue(model: Slow) -> Iterator[Scheduler]:
    scheduler = Scheduler(cast(CrossEncoder, model))
    yield scheduler
    model.go.set()
    scheduler.close(wait=False)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def block(queue: Scheduler, model: Slow) -> Job:
    """Keep both runners busy."""
    job = queue.submit([words(64, f"busy{n}") for n in range(2)])
    until(lambda: len(model.runs) == 2)
    model.runs.clear()
    return job


def submit_all(queue: Scheduler, requests: list[list[Pair]]) -> None:
    for pairs in requests:
        queue.submit(pairs)


def test_scores_are_those_of_the_model_bit_for_bit(tiny: CrossEncoder) -> None:
    scheduler = Scheduler(tiny)
    jobs = [scheduler.submit(PAIRS), scheduler.submit(PAIRS[::-1]), scheduler.submit([*PAIRS, *PAIRS] * 40)]
    logits, truncated = tiny.logits(PAIRS)
    expected = [
        (logits, truncated),
        (logits[::-1], truncated[::-1]),
        (np.tile(logits, 80), np.tile(truncated, 80)),
    ]
    for job, (wanted, cut) in zip(jobs, expected, strict=True):
        scored = job.future.result(30)
        np.testing.assert_array_equal(scored.logits, wanted)
        np.testing.assert_array_equal(scored.truncated, cut)
        assert scored.tokens.min() > 0
    scheduler.close()


def test_no_pairs_are_no_work(queue: Scheduler) -> None:
    assert len(queue.submit([]).future.result(1).logits) == 0


def test_a_small_request_overtakes_a_large_one(queue: Scheduler, model: Slow) -> None:
    block(queue, model)
    large = queue.submit([words(16, f"large{n}") for n in range(1000)])
    small = [queue.submit([words(16, f"small{n}{i}") for i in range(2)]) for n in range(20)]
    until(lambda: all(job.waiting_inputs == 2 for job in small))
    done: list[int] = []
    for job in small:
        job.future.add_done_callback(lambda _: done.append(large.done))
    model.go.set()
    for job in small:
        job.future.result(20)
    assert max(done) < 200
    assert len(large.future.result(20).logits) == 1000


def test_a_large_request_is_not_starved_by_small_ones(queue: Scheduler, model: Slow) -> None:
    large = queue.submit([words(16, f"large{n}") for n in range(100)])
    stop = threading.Event()

    def ask(name: int) -> None:
        number = 0
        while not stop.is_set():
            queue.submit([words(16, f"{name}-{number}")]).future.result(20)
            number += 1

    clients = [threading.Thread(target=ask, args=(name,)) for name in range(8)]
    for client in clients:
        client.start()
    model.go.set()
    assert len(large.future.result(20).logits) == 100
    stop.set()
    for client in clients:
        client.join()


def test_equal_lengths_of_all_requests_are_run_together(model: Slow) -> None:
    model.tokens_at_once = 256
    queue = Scheduler(cast(CrossEncoder, model))
    queue.submit([words(64, str(n)) for n in range(8)])
    until(lambda: len(model.runs) == 2)
    model.runs.clear()
    jobs = [queue.submit([words(10, f"a{n}"), words(40, f"b{n}")]) for n in range(8)]
    until(lambda: all(job.waiting_inputs == 2 for job in jobs))
    model.go.set()
    for job in jobs:
        job.future.result(20)
    # With padding, the inputs take 16 and 48 tokens.
    assert [sorted(run) for run in model.runs] == [[10] + [40] * 5, [10] * 7 + [40] * 3]
    queue.close()


def test_equal_pairs_of_all_requests_are_scored_once(queue: Scheduler, model: Slow) -> None:
    block(queue, model)
    first = queue.submit([words(5), words(6), words(5)])
    until(lambda: first.waiting_inputs == 2)
    second = queue.submit([words(6), words(5)])
    until(lambda: second.waiting_inputs == 2)
    model.go.set()
    assert first.future.result(20).logits.tolist() == [5, 6, 5]
    assert second.future.result(20).logits.tolist() == [6, 5]
    assert sorted(n for run in model.runs for n in run) == [5, 6]


def test_what_a_caller_that_left_asked_for_is_not_computed(queue: Scheduler, model: Slow) -> None:
    block(queue, model)
    gone = queue.submit([words(5), words(6)])
    stays = queue.submit([words(6)])
    until(lambda: gone.waiting_inputs == 2 and stays.waiting_inputs == 1)
    queue.cancel(gone)
    model.go.set()
    assert stays.future.result(20).logits.tolist() == [6]
    assert [n for run in model.runs for n in run] == [6]
    with pytest.raises(CancelledError):
        gone.future.result(1)
    queue.cancel(gone)


def test_a_caller_that_leaves_during_a_run_harms_nobody(queue: Scheduler, model: Slow) -> None:
    job = block(queue, model)
    queue.cancel(job)
    model.go.set()
    assert queue.submit([words(3)]).future.result(20).logits.tolist() == [3]


def test_a_score_that_is_no_number_fails_its_request_alone(queue: Scheduler, model: Slow) -> None:
    block(queue, model)
    bad, good = queue.submit([words(7), words(8)]), queue.submit([words(8), words(9)])
    until(lambda: bad.waiting_inputs == 2 and good.waiting_inputs == 2)
    model.go.set()
    with pytest.raises(ModelError, match="gave a score that is not a number"):
        bad.future.result(20)
    assert good.future.result(20).logits.tolist() == [8, 9]


def test_a_model_that_fails_fails_those_whose_pairs_it_ran(queue: Scheduler, model: Slow) -> None:
    model.go.set()
    with pytest.raises(ModelError, match="out of memory"):
        queue.submit([words(13)]).future.result(20)
    assert queue.submit([words(3)]).future.result(20).logits.tolist() == [3]
    assert queue.requests == 0


def test_a_text_that_cannot_be_tokenised_fails_its_request_alone(queue: Scheduler, model: Slow) -> None:
    model.go.set()
    with pytest.raises(InputError, match="surrogates"):
        queue.submit([words(3), ("q", "\ud800")]).future.result(20)
    assert queue.submit([words(3)]).future.result(20).logits.tolist() == [3]


def test_what_must_not_be_truncated_is_refused_before_it_is_run(queue: Scheduler, model: Slow) -> None:
    with pytest.raises(TooLongError) as caught:
        queue.submit([words(5), words(70)], Cut(truncate=False)).future.result(20)
    assert (caught.value.position, caught.value.tokens) == (1, 6)
    assert [n for run in model.runs for n in run] in ([], [5])


def test_more_requests_than_allowed_are_refused(model: Slow) -> None:
    scheduler = Scheduler(cast(CrossEncoder, model), most_requests=2)
    jobs = [scheduler.submit([words(5, str(n))]) for n in range(2)]
    with pytest.raises(BusyError, match="busy with 2 requests") as caught:
        scheduler.submit([words(5)])
    assert caught.value.status == 429
    assert caught.value.retry_after is not None
    model.go.set()
    for job in jobs:
        job.future.result(20)
    assert scheduler.submit([words(5)]).future.result(20).logits.tolist() == [5]
    scheduler.close()


def test_a_request_that_would_wait_too_long_is_refused_with_the_time_to_try_again(model: Slow) -> None:
    model.seconds = 0.05
    model.go.set()
    scheduler = Scheduler(cast(CrossEncoder, model), longest_wait=0.5)
    scheduler.submit([words(64, str(n)) for n in range(20)]).future.result(20)
    large = scheduler.submit([words(64, f"large{n}") for n in range(100)])
    with pytest.raises(BusyError, match=r"an answer would take about \d+ seconds") as caught:
        submit_all(scheduler, [[words(64, f"late{number}-{n}") for n in range(5)] for number in range(20)])
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 0
    patient = scheduler.submit([words(64, f"patient{n}") for n in range(200)], patient=True)
    scheduler.cancel(patient)
    scheduler.cancel(large)
    scheduler.close(wait=False)


def test_a_large_request_is_accepted_where_nothing_waits(model: Slow) -> None:
    model.seconds = 0.05
    model.go.set()
    scheduler = Scheduler(cast(CrossEncoder, model), longest_wait=0.01)
    scheduler.submit([words(64, str(n)) for n in range(20)]).future.result(20)
    scheduler.submit([words(64, f"again{n}") for n in range(40)]).future.result(20)
    scheduler.close()


def test_a_closed_queue_finishes_what_it_has_and_takes_nothing_more(model: Slow) -> None:
    scheduler = Scheduler(cast(CrossEncoder, model))
    job = scheduler.submit([words(5)])
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    until(lambda: scheduler._closed)
    with pytest.raises(RequestError, match="is stopping"):
        scheduler.submit([words(5)])
    model.go.set()
    closing.join(20)
    assert job.future.result(1).logits.tolist() == [5]


def test_steps_are_observed_with_their_padding(model: Slow) -> None:
    steps: list[Step] = []
    model.go.set()
    scheduler = Scheduler(cast(CrossEncoder, model), observe=steps.append)
    scheduler.submit([words(10), words(12)]).future.result(20)
    scheduler.close()
    assert sum(step.inputs for step in steps) == 2
    assert sum(step.tokens for step in steps) == 22
    assert sum(step.padding for step in steps) == 10


def test_many_threads_with_shared_pairs_get_their_own_scores(model: Slow) -> None:
    model.go.set()
    scheduler = Scheduler(cast(CrossEncoder, model))
    wrong: list[object] = []

    def ask(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(50):
            counts = [int(n) for n in random.integers(1, 64, random.integers(1, 12)) if n not in (7, 13)]
            job = scheduler.submit([words(n) for n in counts])
            if random.random() < 0.2:
                scheduler.cancel(job)
            elif (logits := job.future.result(20).logits.tolist()) != counts:
                wrong.append((counts, logits))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert scheduler.requests == 0
    assert not scheduler._queue.inputs
    scheduler.close()


def test_equal_requests_of_many_pairs_are_all_answered(queue: Scheduler, model: Slow) -> None:
    block(queue, model)
    # More than are tokenised at a time, and as many as fill the last run.
    pairs = [words(1, str(number)) for number in range(2200)]
    jobs = [queue.submit(pairs) for _ in range(2)]
    until(lambda: all(job.tokenised > 1024 for job in jobs))
    model.go.set()
    for job in jobs:
        assert len(job.future.result(20).logits) == len(pairs)


def test_what_waits_is_known_in_seconds_once_the_speed_is(queue: Scheduler, model: Slow) -> None:
    model.seconds = 0.05
    first = block(queue, model)
    assert queue.waiting_seconds == 0
    model.go.set()
    first.future.result(20)
    until(lambda: queue.waiting_seconds == 0 and queue.requests == 0)
    model.go.clear()
    block(queue, model)
    one = queue.waiting_seconds
    assert one > 0
    queue.submit([words(64, f"more{n}") for n in range(2)])
    assert queue.waiting_seconds == pytest.approx(2 * one)
