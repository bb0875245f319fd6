"""The cross-encoder: reads a query and a passage together and gives one logit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.inference.engines import Engine
from crossrank.inference.loading import CROSS_ENCODER, load_engine, require_head
from crossrank.inference.running import Progress, run_inputs
from crossrank.inference.scores import ActivationName, activation_named, interpolation_of, scoring_of
from crossrank.inference.tokenizer import Tokenizer
from crossrank.models.folder import open_model
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

Pair = tuple[str, str]
# So many pairs are tokenised and sorted at a time: enough for full batches, and memory stays flat.
_CHUNK = 4096


class CrossEncoder:
    """A cross-encoder, with sentence-transformers' methods and results.

    One object serves any number of threads, and processes forked off it.

    Args:
        model_name_or_path: A bundled model, a folder, or a Hugging Face name.
        max_length: Cut pairs to so many tokens; the model's own limit by default.
        threads: Processors to use; by default all that this process may use.

    Attributes:
        name: What was asked for.
        scoring: What the model's outputs mean.
        interpolation: How its logit goes together with a bi-encoder's similarity; None: not known.
        tokenizer: The model's tokenizer.
        scripts: The writing systems that the model reads, as Unicode names them (``LATIN``); None: any.
        notices: What a person should know about the loaded model, one sentence each.

    Raises:
        ModelError: The model does not exist, cannot be loaded, or is no reranker.
        InputError: ``max_length`` is too short for a query and a passage.

    Example:
        >>> model = CrossEncoder()
        >>> hits = model.rank("Who bakes bread?", ["A tide table.", "Bakers bake bread."])
        >>> [hit["corpus_id"] for hit in hits]
        [1, 0]
    """

    def __init__(
        self,
        model_name_or_path: str | Path = DEFAULT_CROSS_ENCODER,
        *,
        max_length: int | None = None,
        threads: int | None = None,
    ) -> None:
        model = open_model(model_name_or_path)
        self.name = model.name
        require_head(model)
        self.scoring = scoring_of(model)
        self.interpolation = interpolation_of(model)
        self.tokenizer = Tokenizer(model, max_tokens=max_length)
        scripts = model.json("crossrank.json").get("scripts")
        self.scripts = frozenset(str(script) for script in scripts) if isinstance(scripts, list) else None
        self._engine: Engine
        self._engine, self.notices = load_engine(
            model, CROSS_ENCODER, self.tokenizer, threads=threads, width=self.scoring.labels
        )

    def logits(
        self, pairs: Sequence[Pair], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Score pairs, each different pair once.

        Args:
            pairs: (query, passage) each.
            progress: Called with the number of pairs done since the last call.

        Returns:
            The logits, float32 [n], and how many tokens of each passage did not fit, [n].

        Raises:
            InputError: A text is no string or no valid Unicode.
            ModelError: The model gave a number that is not finite.
        """
        logits = np.empty(len(pairs), np.float32)
        truncated = np.empty(len(pairs), np.intp)
        for start in range(0, len(pairs), _CHUNK):
            part = slice(start, start + _CHUNK)
            logits[part], truncated[part] = self._score(pairs[part], progress)
        return logits, truncated

    def _score(
        self, pairs: Sequence[Pair], progress: Progress | None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        numbers: dict[Pair, int] = {}
        which = [numbers.setdefault((query, passage), len(numbers)) for query, passage in pairs]
        inputs = self.tokenizer.pairs(list(numbers))
        outputs = run_inputs(self._engine, inputs, self.tokenizer, progress)
        if progress and len(pairs) > len(inputs):
            progress(len(pairs) - len(inputs))
        logits = self.scoring.logits(outputs)
        if not np.isfinite(logits).all():
            bad = list(numbers)[int(np.flatnonzero(~np.isfinite(logits))[0])]
            raise ModelError(f"{self.name} gave a score that is not a number for the passage {bad[1]!r:.80}")
        return logits[which], np.array([tokens.truncated for tokens in inputs], np.intp)[which]

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
