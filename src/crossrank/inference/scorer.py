"""What every cross-encoder can do, wherever it runs: sentence-transformers' methods over its logits."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.inference.engines import Progress
from crossrank.inference.interpolation import Interpolation
from crossrank.inference.scores import ActivationName, Scoring, activation_named

Pair: TypeAlias = tuple[str, str]


class PairScorer(ABC):
    """A cross-encoder that a reranker can use, on this machine or on another.

    Attributes:
        name: What the model is called in messages.
        scoring: What the model's outputs mean.
        scripts: The writing systems that the model reads, as Unicode names them (``LATIN``); None: any.
        notices: What a person should know about the model, one sentence each.
        interpolation: How its logit goes together with what first stages know; None: not known.
    """

    name: str
    scoring: Scoring
    scripts: frozenset[str] | None
    notices: tuple[str, ...]
    interpolation: Interpolation | None = None

    @abstractmethod
    def logits(
        self, pairs: Sequence[Pair], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Score pairs.

        Args:
            pairs: (query, passage) each.
            progress: Called with the number of pairs done since the last call.

        Returns:
            The logits, float32 [n], and how many tokens of each passage did not fit, [n].
        """

    @abstractmethod
    def unknown_share(self, text: str) -> float:
        """The share of a text's tokens that the model's vocabulary lacks, from 0 to 1."""

    def predict(
        self,
        inputs: Sequence[Sequence[str]] | Sequence[str],
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        activation_fn: object = None,
        convert_to_numpy: bool = True,
        activation: ActivationName | None = None,
    ) -> NDArray[np.float32] | list[np.float32] | np.float32:
        """Relevance scores of pairs, as sentence-transformers' ``predict`` gives them.

        Args:
            inputs: Pairs, or one pair.
            batch_size: Has no effect: batches follow from the lengths of the inputs.
            show_progress_bar: Show one on standard error.
            activation_fn: What ``activation`` names, as an object of PyTorch's: ``torch.nn.Identity()``,
                ``Sigmoid()`` or ``Tanh()``.
            convert_to_numpy: Return an array; otherwise a list.
            activation: Instead of the model's own; ``"none"`` gives logits.

        Returns:
            float32 [n]; a single number for a single pair.

        Raises:
            InputError: Something is no pair of strings, or the activation is not known.

        Example:
            >>> from crossrank import CrossEncoder
            >>> model = CrossEncoder()
            >>> model.predict([("a question", "a passage"), ("a question", "another")]).shape
            (2,)
        """
        single = len(inputs) == 2 and all(isinstance(text, str) for text in inputs)
        given = [inputs] if single else inputs
        pairs = [_as_pair(pair, position) for position, pair in enumerate(given)]
        chosen = activation or activation_named(activation_fn)
        with _progress_bar(len(pairs), show=show_progress_bar) as progress:
            logits, _ = self.logits(pairs, progress=progress)
        scores = self.scoring.scores(logits, chosen)
        if single:
            return np.float32(scores[0])
        return scores if convert_to_numpy else list(scores)

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        activation_fn: object = None,
        activation: ActivationName | None = None,
    ) -> list[dict[str, Any]]:
        """Rank documents, as sentence-transformers' ``rank`` does; :class:`crossrank.Reranker` tells more.

        Args:
            query: The question.
            documents: Passages.
            top_k: Return so many; all by default.
            return_documents: Add the ``text`` of each.
            batch_size: As for :meth:`predict`, and so are the others.
            show_progress_bar: As for :meth:`predict`.
            activation_fn: As for :meth:`predict`.
            activation: As for :meth:`predict`.

        Returns:
            ``corpus_id`` (position in ``documents``) and ``score`` each, best first.
        """
        pairs = [(query, text) for text in documents]
        scores = self.predict(
            pairs, show_progress_bar=show_progress_bar, activation_fn=activation_fn, activation=activation
        )
        results: list[dict[str, Any]] = [
            {"corpus_id": position, "score": float(score)}
            | ({"text": documents[position]} if return_documents else {})
            for position, score in enumerate(np.atleast_1d(np.asarray(scores)))
        ]
        return sorted(results, key=lambda result: result["score"], reverse=True)[:top_k]

    async def apredict(
        self, inputs: Sequence[Sequence[str]] | Sequence[str], **options: Any
    ) -> NDArray[np.float32] | list[np.float32] | np.float32:
        """:meth:`predict` on another thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.predict, inputs, **options)

    async def arank(
        self, query: str, documents: Sequence[str], *args: Any, **options: Any
    ) -> list[dict[str, Any]]:
        """:meth:`rank` on another thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.rank, query, documents, *args, **options)


def _as_pair(pair: Any, position: int) -> Pair:
    if isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2:
        query, passage = pair
        if isinstance(query, str) and isinstance(passage, str):
            return query, passage
    raise InputError(f"pair {position} must be two strings, [query, passage]; it is {pair!r:.80}")


@contextmanager
def _progress_bar(total: int, *, show: bool) -> Iterator[Progress | None]:
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task("Scoring", total=total)
        yield lambda done: bar.advance(task, done)
