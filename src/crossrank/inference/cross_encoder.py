"""The cross-encoder: reads a query and a passage together and gives one logit."""

from __future__ import annotations

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
from crossrank.inference.devices import Device, on_gpu, runs_on_openvino
from crossrank.inference.drop_in import DropIn, EvaluationMetrics
from crossrank.inference.engines import Engine, Progress
from crossrank.inference.interpolation import interpolation_of
from crossrank.inference.load_options import load_options, refuse_what_cannot_be
from crossrank.inference.loading import CROSS_ENCODER, load_engine, load_torch_engine, require_head
from crossrank.inference.pairs import Pair
from crossrank.inference.prefetching import growing_parts, prefetch
from crossrank.inference.prompting import PromptTokenizer, is_asked_by_template, saved_prompts
from crossrank.inference.scorer import for_ranking
from crossrank.inference.scores import scoring_of
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.keywords import checked_keywords
from crossrank.models.locate import DEFAULT_CROSS_ENCODER, Hub

# So many pairs are tokenised and sorted at a time: enough for full batches, and memory stays flat. A GPU
# gets fewer at first, so that it has not to wait.
_CHUNK, _FIRST_CHUNK = 4096, 512


@dataclass(frozen=True, slots=True)
class _Portion:
    """Different pairs, each tokenised once, and which of them each pair of the caller is."""

    pairs: list[Pair]
    inputs: list[Tokens]
    which: list[int]


class CrossEncoder(DropIn):
    """A cross-encoder, with sentence-transformers' arguments, methods and results (docs/coming-from.md).

    One object serves any number of threads, and, unless it is on a GPU, processes forked off it. Pickled, it
    is its name and options, and is loaded again where it is unpickled; a copy shares its weights.

    Args:
        model_name_or_path: A bundled model, a folder, or a Hugging Face name.
        modules: Only None.
        device: ``cpu``, the default, ``cuda``, ``cuda:1`` or ``mps``. A GPU needs the extra
            ``crossrank[torch]``, and so do models that OpenVINO has no graph for.
        prompts: Texts to put before a query, by name; they come before those that were saved with the model.
        default_prompt_name: The one to put there where none is asked for.
        cache_folder: Where downloads are kept; by default where the Hub's client keeps them.
        trust_remote_code: Only False: code that comes with a model is never run.
        revision: A branch, tag or commit of the repository on the Hub.
        local_files_only: Do not download.
        token: For the Hub; by default HF_TOKEN or the one that was saved.
        model_kwargs: As far as they ask for what happens anyway, and ``device_map`` for a single device.
        processor_kwargs: ``model_max_length``, and what happens anyway.
        config_kwargs: ``num_labels``, and what happens anyway.
        model_card_data: Kept as an attribute.
        backend: Checked, and has no effect: on a processor OpenVINO runs, on a GPU PyTorch.
        num_labels: How many outputs the model has to have.
        max_length: Cut pairs to so many tokens; the model's own limit by default.
        activation_fn: Instead of the model's own: ``"none"``, ``"sigmoid"``, ``"tanh"``, or a function of
            tensors such as ``torch.nn.Softmax(dim=1)``.
        keep_in_fp32_modules: Only None or empty.
        threads: Processors to use; by default all that this process may use.

    Attributes:
        name: What was asked for.
        path: The folder that holds the model's files.
        scoring: What the model's outputs mean.
        interpolation: How its logit goes together with what first stages know; None: not known.
        tokenizer: The model's tokenizer, crossrank's own.
        scripts: The writing systems that the model reads, as Unicode names them (``LATIN``); None: any.
        notices: What a person should know about the loaded model, one sentence each.
        prompts: As given, and those saved with the model.
        default_prompt_name: As given, or the saved one.

    Raises:
        ModelError: The model does not exist, cannot be loaded, or has no classifier.
        InputError: ``max_length`` is too short for a query and a passage, there is no such device here, or an
            argument asks for what cannot be done.
        MissingExtraError: The device or the model needs PyTorch, which is not installed.

    Example:
        >>> model = CrossEncoder()
        >>> hits = model.rank("Who bakes bread?", ["A tide table.", "Bakers bake bread."])
        >>> [hit["corpus_id"] for hit in hits]
        [1, 0]
    """

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
            model_kwargs=model_kwargs,
            processor_kwargs=processor_kwargs,
            config_kwargs=config_kwargs,
        )
        hub = Hub(cache_folder, revision, token, local_files_only, organisation="cross-encoder")
        self._open = partial(open_model, model_name_or_path, hub=hub)
        self._threads = threads
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
        self.interpolation = interpolation_of(model)
        saved, saved_default = saved_prompts(model)
        self.prompts = saved | (prompts or {})
        self.default_prompt_name = default_prompt_name or saved_default
        prompt = self.prompt_named(None)
        self.tokenizer = (
            PromptTokenizer(model, max_tokens=options.max_length, prompt=prompt)
            if is_asked_by_template(model)
            else Tokenizer(model, max_tokens=options.max_length)
        )
        scripts = model.json("crossrank.json").get("scripts")
        self.scripts = frozenset(str(script) for script in scripts) if isinstance(scripts, list) else None
        self.model_card_data = model_card_data or EvaluationMetrics()
        self._load(options.device or "cpu")

    def _load(self, device: str) -> None:
        model, width = self._open(safetensors=on_gpu(device)), self.scoring.labels
        engine: Engine
        notices: tuple[str, ...] = ()
        if runs_on_openvino(model, device):
            engine, notices = load_engine(
                model, CROSS_ENCODER, self.tokenizer, threads=self._threads, width=width
            )
        else:
            engine = load_torch_engine(
                model, self.tokenizer, device=device, threads=self._threads, width=width
            )
        self._engine, self.notices, self._device = engine, notices, Device.named(device)

    def get_backend(self) -> str:
        """What runs the model: ``openvino`` or ``torch``."""
        return "openvino" if runs_on_openvino(self._folder, self._device) else "torch"

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
        }
        return partial(type(self), self._open.args[0], **options), ()

    def __deepcopy__(self, memo: object) -> Self:
        return copy(self)

    def __copy__(self) -> Self:
        # The engine never changes, so that copies can share it; what may be set is each one's own.
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.prompts, other.tokenizer = dict(self.prompts), copy(self.tokenizer)
        return other

    def logits(
        self, pairs: Sequence[Pair], *, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Score pairs, each different pair once, with the default prompt where there is one.

        Args:
            pairs: (query, passage) each.
            progress: Called with the number of pairs done since the last call.

        Returns:
            The logits, float32 [n], and how many tokens of each passage did not fit, [n].

        Raises:
            InputError: A text is no string or no valid Unicode.
            ModelError: The model gave a number that is not finite, or has several outputs of which none is
                known to mean relevance.
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
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """The raw outputs for pairs, float32 [n, labels]; see :meth:`PairScorer.outputs`."""
        return self._run(pairs, self._asking(prompt, max_length), progress)[0]

    def _asking(self, prompt: str | None, max_length: int | None = None) -> Tokenizer:
        return self.tokenizer.adjusted(prompt=prompt, max_tokens=max_length)

    def _run(
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
