"""The cross-encoder: reads a query and a passage together and gives one logit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError, ModelError
from crossrank.families.model import open_model
from crossrank.inference.activations import Activation
from crossrank.inference.arithmetic import Precision
from crossrank.inference.calibration import calibration_of
from crossrank.inference.chains import answered_by, scoring_chain
from crossrank.inference.choosing import Choice
from crossrank.inference.devices import Device, on_gpu, runs_on_openvino
from crossrank.inference.drop_in import DropIn, EvaluationMetrics
from crossrank.inference.engines import Progress
from crossrank.inference.engines.threads import available_threads
from crossrank.inference.fingerprint import cross_encoder_fingerprint, files_digest
from crossrank.inference.interpolation import interpolation_of
from crossrank.inference.load_options import load_options, refuse_what_cannot_be
from crossrank.inference.loading import load_engine, load_torch_engine, require_head
from crossrank.inference.pairs import Pair
from crossrank.inference.prefetching import growing_parts, prefetch
from crossrank.inference.prompting import PromptTokenizer, is_asked_by_template, saved_prompts
from crossrank.inference.score_cache import ModelScores, ScoreCacheLike, as_score_cache
from crossrank.inference.scorer import for_ranking
from crossrank.inference.scores import scoring_of
from crossrank.inference.task import Classification
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.inference.truncation import OnTruncation
from crossrank.keywords import checked_keywords
from crossrank.models.locate import DEFAULT_CROSS_ENCODER, Hub
from crossrank.settings import VERSION

# Number of pairs tokenised and sorted at a time: enough for full batches, with bounded memory. The first part
# is smaller for a GPU, so that it can start early.
_CHUNK, _FIRST_CHUNK = 4096, 512
# A thread has one batch running and one waiting, of about 1,024 tokens each; a GPU's batch is one packed row.
_TOKENS_A_THREAD, _TOKENS_ON_GPU = 2048, 65_536
# Fewer pairs than this leave threads, or a GPU, without work.
_PAIRS_A_THREAD, _GPU_BLOCK = 4, 64


@dataclass(frozen=True, slots=True)
class _Portion:
    """Distinct pairs, each tokenised once, and the position of each of the caller's pairs among them."""

    pairs: list[Pair]
    inputs: list[Tokens]
    which: list[int]


class CrossEncoder(DropIn):
    """A cross-encoder, with sentence-transformers' arguments, methods and results (docs/coming-from.md).

    Thread-safe. On the CPU, it can also be used in forked processes. Pickling stores the name and options,
    and unpickling loads the model again; a copy shares the weights.

    Args:
        model_name_or_path: A bundled model, a folder, or a Hugging Face name.
        modules: Must be None.
        device: ``cpu`` (the default), ``cuda``, ``cuda:1`` or ``mps``. GPUs need the extra
            ``crossrank[torch]``, and so do architectures without an OpenVINO graph.
        prompts: Texts to put before the query, by name; they take precedence over prompts saved with the
            model.
        default_prompt_name: The prompt to use if none is given.
        cache_folder: Folder for downloaded models; by default the Hugging Face cache.
        trust_remote_code: Must be False: code that comes with a model is never run.
        revision: A branch, tag or commit of the repository on the Hub.
        local_files_only: Do not download.
        token: Token for the Hub; by default HF_TOKEN or the saved token.
        model_kwargs: Only ``device_map`` for a single device, and options that ask for the default behaviour.
        processor_kwargs: Only ``model_max_length``, and options that ask for the default behaviour.
        config_kwargs: Only ``num_labels``, and options that ask for the default behaviour.
        model_card_data: Stored as an attribute.
        backend: Checked, but has no effect: OpenVINO runs on CPUs, PyTorch on GPUs.
        num_labels: The number of outputs that the model must have.
        max_length: Maximum number of tokens per pair; the model's limit by default.
        activation_fn: Replaces the model's own activation: ``"none"``, ``"sigmoid"``, ``"tanh"``, or a
            function of tensors such as ``torch.nn.Softmax(dim=1)``.
        keep_in_fp32_modules: Must be None or empty.
        threads: Number of threads; by default one per processor available to this process.
        precision: ``auto`` (the fastest that ranks like float32 on this processor), ``float32``,
            ``bfloat16`` or ``int8``. On a GPU, ``auto`` is bfloat16 if it has that, and there is no int8.
        score_cache: Do not compute pairs again that were scored before: ``"memory"``, the path of a file, or
            a :class:`~crossrank.inference.score_cache.ScoreCache`. None by default.

    Attributes:
        name: The name or path that was given.
        path: The folder with the model's files.
        scoring: How the model's outputs become scores.
        interpolation: Weights for combining the logit with first-stage evidence; None if the model has none.
        calibration: The probability that a passage is relevant, by the logit alone; None if the model has
            none.
        tokenizer: The model's tokenizer, a crossrank object.
        scripts: The scripts that the model reads, by their Unicode names (``LATIN``); None for any.
        precision: The arithmetic that the model runs in, and why.
        notices: Warnings about the loaded model, one sentence each.
        score_cache: The cache of scores; None if there is none.
        prompts: The given prompts, and those saved with the model.
        default_prompt_name: The given default, or the saved one.

    Raises:
        ModelError: The model does not exist, cannot be loaded, or has no classification head.
        InputError: ``max_length`` is too short for a query and a passage, the device does not exist, or an
            argument is not supported.
        MissingExtraError: The device or the model needs PyTorch, which is not installed.

    Example:
        >>> model = CrossEncoder()
        >>> hits = model.rank("Who bakes bread?", ["A tide table.", "Bakers bake bread."])
        >>> [hit["corpus_id"] for hit in hits]
        [1, 0]
    """

    precision: Choice

    @checked_keywords(
        model_name="model_name_or_path",
        automodel_args="model_kwargs",
        tokenizer_args="processor_kwargs",
        tokenizer_kwargs="processor_kwargs",
        config_args="config_kwargs",
        cache_dir="cache_folder",
        default_activation_function="activation_fn",
        classifier_dropout=None,
    )
    def __init__(
        self,
        model_name_or_path: str | Path = DEFAULT_CROSS_ENCODER,
        *,
        modules: None = None,
        device: Any = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | Path | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        model_card_data: Any = None,
        backend: str = "torch",
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Activation | None = None,
        keep_in_fp32_modules: list[str] | None = None,
        threads: int | None = None,
        precision: Precision = "auto",
        score_cache: ScoreCacheLike = None,
    ) -> None:
        refuse_what_cannot_be(
            modules=modules,
            trust_remote_code=trust_remote_code,
            keep_in_fp32_modules=keep_in_fp32_modules,
            backend=backend,
        )
        options = load_options(
            device,
            max_length,
            num_labels,
            precision,
            model_kwargs=model_kwargs,
            processor_kwargs=processor_kwargs,
            config_kwargs=config_kwargs,
        )
        hub = Hub(cache_folder, revision, token, local_files_only, organisation="cross-encoder")
        self._open = partial(open_model, model_name_or_path, hub=hub)
        self._threads, self._asked_precision = threads, options.precision
        model = self._folder = self._open(safetensors=on_gpu(options.device))
        self.name = model.name
        require_head(model)
        self.scoring = scoring_of(model)
        if options.num_labels not in {None, self.num_labels}:
            raise InputError(
                f"num_labels cannot be {options.num_labels}: {self.name} has {self.num_labels}, and another "
                "number of outputs would have random weights. `crossrank train` trains a reranker"
            )
        self.activation_fn = activation_fn
        self.interpolation, self.calibration = interpolation_of(model), calibration_of(model)
        saved, saved_default = saved_prompts(model)
        self.prompts = saved | (prompts or {})
        self.default_prompt_name = default_prompt_name or saved_default
        prompt = self.prompt_named(None)
        self.tokenizer = (
            PromptTokenizer(model, max_tokens=options.max_length, prompt=prompt)
            if is_asked_by_template(model)
            else Tokenizer(model, max_tokens=options.max_length)
        )
        chain = scoring_chain(model)
        if isinstance(self.tokenizer, PromptTokenizer) and self.tokenizer.answers is not None:
            chain = answered_by(chain, self.tokenizer.answers.yes, self.tokenizer.answers.no)
        self._task = Classification(chain)
        scripts = model.json("crossrank.json").get("scripts")
        self.scripts = frozenset(str(script) for script in scripts) if isinstance(scripts, list) else None
        self.model_card_data = model_card_data or EvaluationMetrics()
        self.score_cache = as_score_cache(score_cache)
        self._fingerprints: dict[tuple[int, str | None], str] = {}
        self._content = files_digest(model) if self.score_cache is not None else ""
        self._load(options.device or "cpu")

    def _load(self, device: str) -> None:
        model, width = self._open(safetensors=on_gpu(device)), self.scoring.labels
        options: dict[str, Any] = {"precision": self._asked_precision, "threads": self._threads}
        if runs_on_openvino(model, device, self._task.chain):
            loaded = load_engine(model, self._task, self.tokenizer, width=width, **options)
        else:
            loaded = load_torch_engine(
                model, self._task, self.tokenizer, device=device, width=width, **options
            )
        self._engine, self.precision, self.notices = loaded.engine, loaded.precision, loaded.notices
        self._device = Device.named(device)
        self.block = (
            _GPU_BLOCK if on_gpu(device) else _PAIRS_A_THREAD * (self._threads or available_threads())
        )

    @property
    def fingerprint(self) -> str:
        """Identifies the model by its content, independent of its name: weights, tokenizer, settings, prompt.

        The arithmetic is not part of it (:attr:`precision`).
        """
        settings = self.max_length, self.prompt_named(None)
        if settings not in self._fingerprints:  # every search in a tuned index asks for it
            max_tokens, prompt = settings
            self._fingerprints[settings] = cross_encoder_fingerprint(
                self._folder, self._task.chain, max_tokens=max_tokens, prompt=prompt
            )
        return self._fingerprints[settings]

    def get_backend(self) -> str:
        """The library that runs the model: ``openvino`` or ``torch``."""
        return "openvino" if runs_on_openvino(self._folder, self._device, self._task.chain) else "torch"

    def __reduce__(self) -> tuple[Any, ...]:
        hub: Hub = self._open.keywords["hub"]
        options: dict[str, Any] = {
            "device": str(self._device),
            "prompts": self.prompts,
            "default_prompt_name": self.default_prompt_name,
            "cache_folder": hub.cache_folder,
            "revision": hub.revision,
            "local_files_only": hub.local_files_only,  # and no token, which is a secret
            "max_length": self.max_length,
            "activation_fn": self.scoring.predicting,
            "threads": self._threads,
            "precision": self._asked_precision,
            "score_cache": self.score_cache,
        }
        return partial(type(self), self._open.args[0], **options), ()

    def __deepcopy__(self, memo: object) -> Self:
        return copy(self)

    def __copy__(self) -> Self:
        # The engine is immutable, so copies share it; attributes that can be set are separate.
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.prompts, other.tokenizer = dict(self.prompts), copy(self.tokenizer)
        return other

    def logits(
        self, pairs: Sequence[Pair], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Score pairs, with the default prompt if there is one; duplicate pairs are scored once.

        Args:
            pairs: (query, passage) tuples.
            progress: Called with the number of pairs done since the last call.

        Returns:
            The logits, float32 [n], and the number of tokens cut off each passage, [n].

        Raises:
            InputError: A text is not a string or not valid Unicode.
            ModelError: The model returned a number that is not finite, or has several outputs and it is not
                known which one means relevance.
        """
        for_ranking(self)
        outputs, truncated = self._run(pairs, self._asking(self.prompt_named(None)), progress)
        return self.scoring.logits(outputs), truncated

    def outputs(
        self,
        pairs: Sequence[Pair],
        *,
        prompt: str | None = None,
        max_length: int | None = None,
        on_truncation: OnTruncation = "ignore",
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """The raw outputs for pairs, float32 [n, labels]; see :meth:`PairScorer.outputs`."""
        outputs, truncated = self._run(pairs, self._asking(prompt, max_length), progress)
        self._report(truncated, on_truncation)
        return outputs

    def tokenised(self, pairs: Sequence[Pair]) -> list[Tokens]:
        """The inputs for pairs, with the default prompt if there is one; for :meth:`logits_of`.

        Raises:
            InputError: A text is not a string or not valid Unicode.
        """
        return self._asking(self.prompt_named(None)).pairs(pairs)

    def shortened(
        self,
        pairs: Sequence[Pair],
        *,
        passage_tokens: int | None = None,
        pair_tokens: int | None = None,
        keep_end: bool = False,
    ) -> list[tuple[Pair, int]]:
        """Shorter pairs, and the number of tokens cut off each passage; see :meth:`Tokenizer.shortened`."""
        tokenizer = self._asking(self.prompt_named(None))
        return tokenizer.shortened(
            pairs, passage_tokens=passage_tokens, pair_tokens=pair_tokens, keep_end=keep_end
        )

    def passage_room(self, query: str) -> int:
        """How many tokens of a passage the model reads next to a query."""
        return self._asking(self.prompt_named(None)).passage_room(query)

    def token_offsets(self, texts: Sequence[str]) -> list[NDArray[np.intp]]:
        """Where the tokens of each text begin and end, in characters, [tokens, 2].

        Raises:
            InputError: A text is not a string or not valid Unicode.
        """
        return self.tokenizer.offsets(texts)

    def logits_of(self, inputs: Sequence[Tokens]) -> NDArray[np.float32]:
        """The logits of at least one input, float32 [n], as :meth:`logits` has them for the pairs.

        What the model returned is not checked: a logit may be no finite number.
        """
        return self.scoring.logits(self._engine.run(inputs))

    @property
    def tokens_at_once(self) -> int:
        """The number of tokens in one call of :meth:`logits_of` that keeps all processors or the GPU busy."""
        return (
            _TOKENS_ON_GPU
            if self._engine.on_gpu
            else _TOKENS_A_THREAD * (self._threads or available_threads())
        )

    def _asking(self, prompt: str | None, max_length: int | None = None) -> Tokenizer:
        return self.tokenizer.adjusted(prompt=prompt, max_tokens=max_length)

    @property
    def kept_scores(self) -> ModelScores | None:
        """The scores of this model in its cache, with the default prompt; None without a cache."""
        return self._kept(self._asking(self.prompt_named(None)))

    def _kept(self, tokenizer: Tokenizer) -> ModelScores | None:
        if self.score_cache is None:
            return None
        settings = (
            VERSION,  # a release may compute a model in another way
            self._content,
            str(self.precision.arithmetic),
            self.get_backend(),
            str(self._device),
            tokenizer.prompt,
            tokenizer.max_tokens,
        )
        model = hashlib.blake2b(json.dumps(settings).encode(), digest_size=32).digest()
        return ModelScores(self.score_cache, model)

    def _run(
        self, pairs: Sequence[Pair], tokenizer: Tokenizer, progress: Progress | None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """The outputs for pairs, and how many tokens of each passage were cut off."""
        kept = self._kept(tokenizer)
        if kept is None or not all(isinstance(text, str) for pair in pairs for text in pair):
            return self._compute(pairs, tokenizer, progress)  # which says what is no text
        found = kept.get(pairs)
        missing = [place for place, one in enumerate(found) if one is None]
        if progress and len(missing) < len(pairs):
            progress(len(pairs) - len(missing))
        outputs = np.empty((len(pairs), self.scoring.labels), np.float32)
        truncated = np.empty(len(pairs), np.intp)
        for place, one in enumerate(found):
            if one is not None:
                outputs[place], truncated[place] = one
        if missing:
            new = [pairs[place] for place in missing]
            outputs[missing], truncated[missing] = self._compute(new, tokenizer, progress)
            kept.put(new, outputs[missing], truncated[missing])
        return outputs, truncated

    def _compute(
        self, pairs: Sequence[Pair], tokenizer: Tokenizer, progress: Progress | None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        outputs = np.empty((len(pairs), self.scoring.labels), np.float32)
        truncated = np.empty(len(pairs), np.intp)
        on_gpu = self._engine.on_gpu
        parts = growing_parts(len(pairs), _FIRST_CHUNK if on_gpu else _CHUNK, _CHUNK)
        portions = [pairs[part] for part in parts]
        tokenise = partial(_tokenised, tokenizer)
        prepared = prefetch(tokenise, portions) if on_gpu else map(tokenise, portions)
        for part, portion in zip(parts, prepared, strict=True):
            outputs[part], truncated[part] = self._score(portion, progress)
        return outputs, truncated

    def _score(
        self, portion: _Portion, progress: Progress | None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        outputs = self._engine.run(portion.inputs, progress)
        if progress and len(portion.which) > len(portion.inputs):
            progress(len(portion.which) - len(portion.inputs))
        finite = np.isfinite(outputs).all(axis=1)
        if not finite.all():
            bad = portion.pairs[int(np.flatnonzero(~finite)[0])]
            raise ModelError(f"{self.name} gave a score that is not a number for the passage {bad[1]!r:.80}")
        truncated = np.array([tokens.truncated for tokens in portion.inputs], np.intp)
        return outputs[portion.which], truncated[portion.which]

    def unknown_share(self, text: str) -> float:
        """The share of a text's tokens that the model's vocabulary lacks, from 0 to 1."""
        return self.tokenizer.unknown_share(text)


def _tokenised(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> _Portion:
    numbers: dict[Pair, int] = {}
    which = [numbers.setdefault((query, passage), len(numbers)) for query, passage in pairs]
    return _Portion(list(numbers), tokenizer.pairs(list(numbers)), which)
