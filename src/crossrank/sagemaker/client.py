"""The client: a cross-encoder whose model runs on a SageMaker endpoint."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.inference.activations import Activation, activation_of
from crossrank.inference.engines import Progress
from crossrank.inference.pairs import Pair
from crossrank.inference.scorer import PairScorer
from crossrank.inference.scores import Scoring
from crossrank.sagemaker.connection import Connection
from crossrank.sagemaker.faults import EndpointAnswerError, explained, is_transient
from crossrank.sagemaker.splitting import JsonPairs, Wire, split
from crossrank.sagemaker.workers import run_concurrently

# InvokeEndpoint's limit, 6 MiB, as AWS documented it for real-time endpoints; a serverless one takes 4 MiB.
MAX_BYTES = 6_291_456
# Seconds before the first and, doubled each time, at most before any further attempt.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0


class SagemakerCrossEncoder(PairScorer):
    """A cross-encoder on an Amazon SageMaker endpoint, with the methods of the local one.

    It can be used in place of a :class:`crossrank.CrossEncoder`, such as in ``Reranker(model)``, and works
    with crossrank's handlers and with the LangChain notebook's inference.py. Duplicate pairs are sent once.
    The first call that scores pairs creates the client and looks up credentials. ``truncated_tokens`` is
    always 0, since the endpoint does not return it. Thread-safe; can also be used in forked processes.

    Args:
        endpoint_name: The name of the endpoint.
        region_name: The region; by default from the environment or the profile.
        profile_name: The AWS profile; by default boto3's usual credentials.
        endpoint_url: A URL to use instead of AWS's, such as ``http://127.0.0.1:8080``.
        client: A boto3 client for ``sagemaker-runtime`` to use; its own timeouts and retries then apply as
            well.
        activation: From the endpoint's logits to scores; ``"none"`` if it already returns scores.
        scripts: The scripts that the model reads, by their Unicode names (``LATIN``); None for any.
        max_pairs: Maximum number of pairs per request.
        max_bytes: Maximum size of a request in bytes; serverless endpoints accept 4 MiB.
        concurrency: Maximum number of concurrent requests per call.
        timeout: Seconds to wait for a response; SageMaker's own limit is 60.
        deadline: Seconds after which a request is no longer retried, if it was throttled or the model was not
            ready.
        endpoint_kwargs: Further arguments of ``invoke_endpoint``, such as ``TargetVariant``.
        wire: The format of pairs and scores, if it is not :class:`JsonPairs`.

    Attributes:
        name: The endpoint's name.
        scoring: How the model's outputs become scores.
        scripts: As given.
        notices: Always empty.

    Raises:
        InputError: A number is out of range, or the activation does not exist.

    Example:
        >>> from crossrank import Reranker
        >>> reranker = Reranker(SagemakerCrossEncoder("my-reranker", "eu-west-1"))
        >>> reranker.rank("Who bakes bread?", []).hits  # as with a local model; no candidates, no request
        ()
    """

    def __init__(
        self,
        endpoint_name: str,
        region_name: str | None = None,
        *,
        profile_name: str | None = None,
        endpoint_url: str | None = None,
        client: Any = None,
        activation: Activation = "sigmoid",
        scripts: Collection[str] | None = None,
        max_pairs: int = 128,
        max_bytes: int = MAX_BYTES,
        concurrency: int = 4,
        timeout: float = 70.0,
        deadline: float = 120.0,
        endpoint_kwargs: Mapping[str, Any] | None = None,
        wire: Wire | None = None,
    ) -> None:
        if not endpoint_name or not isinstance(endpoint_name, str):
            raise InputError(f"endpoint_name must be the name of an endpoint; it is {endpoint_name!r}")
        limits = {"max_pairs": max_pairs, "max_bytes": max_bytes, "concurrency": concurrency}
        for name, number in limits.items():
            if number < 1:
                raise InputError(f"{name} must be at least 1; it is {number}")
        if timeout <= 0 or deadline < 0:
            raise InputError(
                f"timeout must be above 0 and deadline not below; they are {timeout}, {deadline}"
            )
        self.name = endpoint_name
        self.scoring = Scoring(1, 0, activation_of(activation) or "sigmoid")
        self.scripts = None if scripts is None else frozenset(scripts)
        self.notices = ()
        self._max_pairs, self._max_bytes, self._concurrency = max_pairs, max_bytes, concurrency
        self._deadline = deadline
        self._endpoint_kwargs = dict(endpoint_kwargs or {})
        self._wire: Wire = wire or JsonPairs()
        self._connection = Connection(
            "sagemaker-runtime",
            region_name=region_name,
            profile_name=profile_name,
            endpoint_url=endpoint_url,
            client=client,
            connect_timeout=min(timeout, 10.0),
            read_timeout=timeout,
            max_pool_connections=max(concurrency, 10),
            # Attempts are counted here alone: botocore knows no deadline, and does not wait for a model.
            retries={"total_max_attempts": 1, "mode": "standard"},
        )

    def __deepcopy__(self, memo: object) -> SagemakerCrossEncoder:
        # Frameworks copy their components; this one never changes, and a boto3 client cannot be copied.
        return self

    def logits(
        self, pairs: Sequence[Pair], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Score pairs, each different pair once.

        If one request fails for good, those not sent yet are not sent.

        Args:
            pairs: (query, passage) each.
            progress: Called with the number of pairs done since the last call.

        Returns:
            The logits, float32 [n], and zeros, [n].

        Raises:
            InputError: A text is no string or no valid Unicode, or a pair is longer than a request may be.
            EndpointError: What went wrong there; :mod:`crossrank.sagemaker.faults` has one kind for each.
            MissingExtraError: boto3 is not installed.
        """
        numbers: dict[Pair, int] = {}
        which = [numbers.setdefault((query, passage), len(numbers)) for query, passage in pairs]
        different = list(numbers)
        parts = self._parts(different)
        logits = np.empty(len(different), np.float32)
        # Here and not in the threads, each of which would make one of its own.
        client = self._connection.client if parts else None

        def score(part: slice, stop: threading.Event) -> NDArray[np.float32]:
            return self._score(client, different[part], stop)

        for part, scores in run_concurrently(score, parts, threads=self._concurrency):
            logits[part] = scores
            if progress:
                progress(part.stop - part.start)
        if progress and len(pairs) > len(different):
            progress(len(pairs) - len(different))
        return logits[which], np.zeros(len(pairs), np.intp)

    def requests(self, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        """What ``invoke_endpoint`` would be called with for pairs, one a request; nothing is sent.

        Raises:
            InputError: As for :meth:`logits`.
        """
        different = list(dict.fromkeys(pairs))
        return [self._request(self._wire.encode(different[part])) for part in self._parts(different)]

    def unknown_share(self, text: str) -> float:
        """0: the vocabulary is at the endpoint, and is not asked."""
        return 0.0

    def _parts(self, pairs: Sequence[Pair]) -> list[slice]:
        return split(pairs, self._wire, max_pairs=self._max_pairs, max_bytes=self._max_bytes)

    def _request(self, body: bytes) -> dict[str, Any]:
        wire = self._wire
        fixed = {"EndpointName": self.name, "ContentType": wire.content_type, "Accept": wire.accept}
        return {**fixed, **self._endpoint_kwargs, "Body": body}

    def _score(self, client: Any, pairs: Sequence[Pair], stop: threading.Event) -> NDArray[np.float32]:
        what = f"endpoint {self.name!r} ({client.meta.region_name})"
        body = self._invoke(client, what, self._wire.encode(pairs), stop)
        try:
            return _checked(self._wire.decode(body), len(pairs))
        except EndpointAnswerError as error:
            raise EndpointAnswerError(
                f"{what} does not answer as a cross-encoder does: {error}. It must take "
                '{"pairs": [[query, passage], ...]} and give {"scores": [...]}, one number a pair'
            ) from error

    def _invoke(self, client: Any, what: str, body: bytes, stop: threading.Event) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError

        started = time.monotonic()
        pause = _FIRST_PAUSE
        while True:
            try:
                answer: bytes = client.invoke_endpoint(**self._request(body))["Body"].read()
                return answer
            except (BotoCoreError, ClientError) as error:
                # Jitter, so that requests that were refused together do not come back together.
                seconds = pause * random.uniform(0.5, 1.0)
                waited = time.monotonic() - started
                late = waited + seconds > self._deadline
                if late or not is_transient(error) or stop.wait(seconds):
                    raise explained(error, what, waited=waited) from error
                pause = min(2 * pause, _LONGEST_PAUSE)


def _checked(scores: Sequence[float], count: int) -> NDArray[np.float32]:
    """Scores as float32 [count].

    Raises:
        EndpointAnswerError: There are more or fewer, or one is no finite number.
    """
    if len(scores) != count:
        raise EndpointAnswerError(f"it gave {len(scores)} scores for {count} pairs")
    for position, score in enumerate(scores):
        if isinstance(score, bool) or not isinstance(score, int | float | np.number):
            raise EndpointAnswerError(f"score {position} is {score!r:.40} and no number")
    with np.errstate(over="ignore"):
        logits = np.asarray(scores, np.float32).reshape(count)
    if not np.isfinite(logits).all():
        position = int(np.flatnonzero(~np.isfinite(logits))[0])
        raise EndpointAnswerError(f"score {position} is {scores[position]!r}, which is not finite")
    return logits
