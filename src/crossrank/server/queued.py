"""A cross-encoder for those who rank in this process, whose pairs go through the server's queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import wait

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import CrossrankError
from crossrank.inference.engines import Progress
from crossrank.inference.pairs import Pair
from crossrank.inference.scorer import PairScorer
from crossrank.server.answering import as_request_error
from crossrank.server.models import ServedModel
from crossrank.server.queue.job import Cut, Scored

# How often to see whether the caller is still there.
_SECONDS_A_LOOK = 0.1


class QueuedCrossEncoder(PairScorer):
    """A loaded model behind its queue, for a :class:`~crossrank.Reranker` on a thread of its own.

    It does not keep the model in memory when that is unloaded.

    Args:
        served: The model.
        cut: How pairs are cut, and how many tokens one call may have.

    Attributes:
        done: What each call of :meth:`logits` did, if there is a ``cut``; for one request at a time.

    Raises:
        RequestError: The model is not loaded.
    """

    def __init__(self, served: ServedModel, cut: Cut | None = None) -> None:
        self._served, self._cut = served, cut
        self.done: list[Scored] = []
        model = served.get()
        self.name, self.scoring, self.scripts = model.name, model.scoring, model.scripts
        self.notices, self._fingerprint = model.notices, model.fingerprint
        self.interpolation, self.calibration = model.interpolation, model.calibration

    @property
    def fingerprint(self) -> str:
        """See :attr:`crossrank.CrossEncoder.fingerprint`."""
        return self._fingerprint

    def logits(
        self, pairs: Sequence[Pair], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """See :meth:`PairScorer.logits`.

        Raises:
            RequestError: The queue is full, or a text is not valid Unicode.
        """
        _, scheduler, job = self._served.submit(pairs, self._cut or Cut())
        done = 0
        try:
            while not wait([job.future], _SECONDS_A_LOOK).done:
                if progress:
                    progress(job.done - done)  # raises if the caller has left
                    done = job.done
            scored = job.future.result()
        except CrossrankError as error:
            raise as_request_error(error, []) from error
        finally:
            scheduler.cancel(job)
        if progress:
            progress(len(pairs) - done)
        if self._cut:
            self.done.append(scored)
        return scored.logits, scored.truncated

    def passage_room(self, query: str) -> int:
        """See :meth:`PairScorer.passage_room`."""
        return self._served.get().passage_room(query)

    def token_offsets(self, texts: Sequence[str]) -> list[NDArray[np.intp]]:
        """See :meth:`PairScorer.token_offsets`."""
        return self._served.get().token_offsets(texts)

    def unknown_share(self, text: str) -> float:
        """See :meth:`PairScorer.unknown_share`."""
        return self._served.get().unknown_share(text)


def queued(served: ServedModel) -> Callable[[], QueuedCrossEncoder]:
    """A function that returns the model behind its queue, always the same, once the model is loaded."""
    made: list[QueuedCrossEncoder] = []

    def get() -> QueuedCrossEncoder:
        if not made:
            made.append(QueuedCrossEncoder(served))
        return made[0]

    return get
