"""The base class of all cross-encoders, local or remote, with sentence-transformers' methods."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.inference.activations import as_tensor
from crossrank.inference.calibration import Calibration
from crossrank.inference.devices import Device
from crossrank.inference.engines import Progress
from crossrank.inference.interpolation import Interpolation
from crossrank.inference.pairs import Pair, as_pairs
from crossrank.inference.score_cache import ScoreCache
from crossrank.inference.scores import Scoring
from crossrank.inference.truncation import (
    OnTruncation,
    check_on_truncation,
    report_truncation,
    truncation_notice,
)
from crossrank.keywords import checked_keywords

_NO_TOKENS = "how long a text is for it is not known. Leave long_documents out, or split the texts"


class PairScorer(ABC):
    """A cross-encoder that a reranker can use, local or remote.

    Attributes:
        name: The model's name, for messages.
        scoring: How the model's outputs become scores.
        scripts: The scripts that the model reads, by their Unicode names (``LATIN``); None for any.
        notices: Warnings about the model, one sentence each.
        interpolation: Weights for combining the logit with first-stage evidence; None if the model has none.
        calibration: The probability that a passage is relevant, by the logit alone; None if the model has
            none.
        prompts: Texts to put before the query, by name.
        default_prompt_name: The prompt that is used if none is given.
        score_cache: The cache of scores; None if there is none.
        block: How many pairs keep the model busy; None if it is best given all at once.
    """

    name: str
    scoring: Scoring
    scripts: frozenset[str] | None
    notices: tuple[str, ...]
    interpolation: Interpolation | None = None
    calibration: Calibration | None = None
    prompts: Mapping[str, str] = MappingProxyType({})
    default_prompt_name: str | None = None
    block: int | None = None
    score_cache: ScoreCache | None = None

    @abstractmethod
    def logits(
        self, pairs: Sequence[Pair], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Score pairs, with the default prompt if there is one.

        Args:
            pairs: (query, passage) tuples.
            progress: Called with the number of pairs done since the last call.

        Returns:
            The logits, float32 [n], and the number of tokens cut off each passage, [n].
        """

    @property
    def fingerprint(self) -> str:
        """Identifies the model by its content; empty if that is not known, for a remote model."""
        return ""

    @abstractmethod
    def unknown_share(self, text: str) -> float:
        """The share of a text's tokens that the model's vocabulary lacks, from 0 to 1."""

    def outputs(
        self,
        pairs: Sequence[Pair],
        *,
        prompt: str | None = None,
        max_length: int | None = None,
        on_truncation: OnTruncation = "ignore",
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """The raw outputs for pairs, float32 [n, labels].

        Args:
            pairs: (query, passage) tuples.
            prompt: The text to put before each query.
            max_length: Maximum number of tokens per pair.
            on_truncation: See :meth:`predict`.
            progress: See :meth:`logits`.

        Raises:
            InputError: The model is remote and does not support ``max_length``, or a passage was truncated
                and ``on_truncation`` is ``error``.
        """
        if max_length is not None:
            raise InputError(f"{self.name} is not on this machine, and cuts pairs to a length of its own")
        prompted = [((prompt or "") + query, passage) for query, passage in pairs]
        logits, truncated = self.logits(prompted, progress=progress)
        self._report(truncated, on_truncation)
        return logits[:, None]

    def _report(self, truncated: NDArray[np.intp], on_truncation: OnTruncation) -> None:
        notice = truncation_notice(
            self.name,
            truncated.tolist(),
            "passages",
            "crossrank.Reranker reads long documents whole (long_documents='windows').",
        )
        report_truncation(notice, on_truncation)

    def passage_room(self, query: str) -> int:
        """How many tokens of a passage the model reads next to a query.

        Raises:
            InputError: The model is remote.
        """
        raise InputError(f"{self.name} is not on this machine: {_NO_TOKENS}")

    def token_offsets(self, texts: Sequence[str]) -> list[NDArray[np.intp]]:
        """Where the tokens of each text begin and end, in characters, [tokens, 2].

        Raises:
            InputError: The model is remote.
        """
        raise InputError(f"{self.name} is not on this machine: {_NO_TOKENS}")

    @property
    def device(self) -> Device:
        """The local device that the model runs on."""
        return Device("cpu")

    def move(self, device: str) -> None:
        """Move the model to another device.

        Raises:
            InputError: The model is remote.
        """
        raise InputError(f"{self.name} is not on this machine, so it cannot be moved to {device}")

    def prompt_named(self, name: str | None) -> str | None:
        """The prompt of a name, or the default prompt.

        Raises:
            InputError: There is no prompt of that name.
        """
        name = self.default_prompt_name if name is None else name
        if name is not None and name not in self.prompts:
            known = ", ".join(map(repr, self.prompts)) or "none"
            raise InputError(f"{self.name} has no prompt {name!r}; its prompts: {known}")
        return None if name is None else self.prompts[name]

    @checked_keywords(sentences="inputs", activation_fct="activation_fn", num_workers=None)
    def predict(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Any = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        pool: None = None,
        chunk_size: int | None = None,
        processing_kwargs: dict[str, Any] | None = None,
        on_truncation: OnTruncation = "warn",
    ) -> Any:
        """Score pairs, like sentence-transformers' ``predict`` (docs/coming-from.md).

        Args:
            inputs: Pairs, or a single pair: lists, tuples, an array or data frame [n, 2], or a generator.
            prompt_name: The name of the prompt to put before each query; by default the model's default
                prompt.
            prompt: The prompt itself; takes precedence over ``prompt_name``.
            batch_size: Must be positive, but has no other effect: batches depend on the inputs' lengths.
            show_progress_bar: Show a progress bar on standard error.
            activation_fn: Replaces the model's own activation: ``"none"``, ``"sigmoid"``, ``"tanh"``, or a
                function of tensors [n, labels] such as ``torch.nn.Softmax(dim=1)``.
            apply_softmax: Apply softmax to the outputs of a model with several labels.
            convert_to_numpy: Return a NumPy array; otherwise a list of tensors.
            convert_to_tensor: Return one tensor; takes precedence over ``convert_to_numpy``.
            device: Move the model to this device first.
            pool: Must be None: threads already use all processors.
            chunk_size: Has no effect.
            processing_kwargs: ``{"text": {"max_length": n}}`` truncates the pairs to n tokens.
            on_truncation: What to do if the model does not read the end of a passage: ``warn`` (one
                :class:`crossrank.TruncationWarning` a call), ``error`` or ``ignore``.

        Returns:
            float32 [n], or [n, labels] if the model has several labels; without the first axis for a single
            pair.

        Raises:
            InputError: An input is not a pair of strings, an option is not supported, or a passage was
                truncated and ``on_truncation`` is ``error``.
            MissingExtraError: Tensors were requested, and PyTorch is not installed.

        Example:
            >>> from crossrank import CrossEncoder
            >>> model = CrossEncoder()
            >>> model.predict([("a question", "a passage"), ("a question", "another")]).shape
            (2,)
        """
        check_on_truncation(on_truncation)
        pairs, single = as_pairs(inputs)
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1; it is {batch_size}")
        if pool is not None:
            raise InputError("pool cannot be used: threads already use all processors. Leave it out")
        if device is not None:
            self.move(_one_device(device))
        prompt = self.prompt_named(prompt_name) if prompt is None else prompt
        max_length = _max_length(processing_kwargs)
        with _progress_bar(len(pairs), show=bool(show_progress_bar)) as progress:
            outputs = self.outputs(
                pairs, prompt=prompt, max_length=max_length, on_truncation=on_truncation, progress=progress
            )
        scores = self.scoring.predictions(outputs, activation_fn)
        if apply_softmax and scores.ndim > 1:
            odds = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = odds / odds.sum(axis=1, keepdims=True)
        if convert_to_tensor or not convert_to_numpy:
            tensors = as_tensor(scores, self.device)
            result = tensors if convert_to_tensor else list(tensors)
        else:
            result = scores
        return result[0] if single else result

    @checked_keywords(
        activation_fct="activation_fn",
        num_workers=None,
        apply_softmax=None,
        convert_to_numpy=None,
        convert_to_tensor=None,
    )
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Any = None,
        device: Any = None,
        pool: None = None,
        chunk_size: int | None = None,
        on_truncation: OnTruncation = "warn",
    ) -> list[dict[str, Any]]:
        """Rank documents, like sentence-transformers' ``rank``; :class:`crossrank.Reranker` returns more.

        Args:
            query: The question.
            documents: The passages.
            top_k: How many documents to return; all by default.
            return_documents: Add the ``text`` to each result.
            prompt_name: See :meth:`predict`.
            prompt: See :meth:`predict`.
            batch_size: See :meth:`predict`.
            show_progress_bar: See :meth:`predict`.
            activation_fn: See :meth:`predict`.
            device: See :meth:`predict`.
            pool: See :meth:`predict`.
            chunk_size: See :meth:`predict`.
            on_truncation: See :meth:`predict`.

        Returns:
            Dictionaries with ``corpus_id`` (position in ``documents``) and ``score``, best first.

        Raises:
            InputError: See :meth:`predict`; or the model has several labels.
        """
        if self.scoring.labels != 1:
            raise InputError(
                f"rank is for models with one label; {self.name} has {self.scoring.labels}. predict gives "
                "all of them, and Reranker ranks by the relevant one where config.json names it"
            )
        texts = list(documents)
        scores = self.predict(
            [(query, text) for text in texts],
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
            device=device,
            pool=pool,
            chunk_size=chunk_size,
            on_truncation=on_truncation,
        )
        results: list[dict[str, Any]] = [
            {"corpus_id": position, "score": score} | ({"text": texts[position]} if return_documents else {})
            for position, score in enumerate(scores.tolist())
        ]
        return sorted(results, key=lambda result: result["score"], reverse=True)[:top_k]

    async def apredict(self, inputs: Any, **options: Any) -> Any:
        """:meth:`predict` in another thread, without blocking the event loop."""
        return await asyncio.to_thread(self.predict, inputs, **options)

    async def arank(
        self, query: str, documents: Iterable[str], *args: Any, **options: Any
    ) -> list[dict[str, Any]]:
        """:meth:`rank` in another thread, without blocking the event loop."""
        return await asyncio.to_thread(self.rank, query, documents, *args, **options)


Model = TypeVar("Model", bound=PairScorer)


def for_ranking(model: Model) -> Model:
    """Return the model, if it is known which of its outputs means relevance.

    Raises:
        ModelError: It has several outputs, and it is not known which one means relevance.
    """
    scoring = model.scoring
    if scoring.relevant is not None:
        return model
    names = ", ".join(scoring.names) or "unnamed"
    raise ModelError(
        f"{model.name} has {scoring.labels} labels ({names}), none of which is known to mean relevance. A "
        "reranker has one label, or two of which one is named 'relevant' in config.json (id2label)."
    )


def _one_device(device: Any) -> str:
    if not isinstance(device, list | tuple):
        return str(device)
    names = {str(name) for name in device}
    if len(names) != 1:
        raise InputError(
            f"device must be one device; it is {device!r:.80}. A model runs on one: load another for each"
        )
    return names.pop()


def _max_length(processing_kwargs: dict[str, Any] | None) -> int | None:
    """The only supported entry of ``processing_kwargs``."""
    text = (processing_kwargs or {}).get("text", {})
    unknown = {*(processing_kwargs or {})} - {"text"} | {*text} - {"max_length", "truncation"}
    if unknown or text.get("truncation", True) not in {True, "longest_first"}:
        raise InputError(
            f"processing_kwargs can be {{'text': {{'max_length': n}}}}; it is {processing_kwargs!r:.80}"
        )
    return None if text.get("max_length") is None else int(text["max_length"])


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
