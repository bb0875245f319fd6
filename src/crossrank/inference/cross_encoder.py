"""The cross-encoder: reads a query and a passage together and gives one logit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelError
from crossrank.families.model import open_model
from crossrank.inference.devices import check_device, on_gpu, runs_on_openvino
from crossrank.inference.engines import Engine, Progress
from crossrank.inference.interpolation import interpolation_of
from crossrank.inference.loading import CROSS_ENCODER, load_engine, load_torch_engine, require_head
from crossrank.inference.prefetching import growing_parts, prefetch
from crossrank.inference.prompting import PromptTokenizer, is_language_model
from crossrank.inference.scorer import Pair, PairScorer
from crossrank.inference.scores import scoring_of
from crossrank.inference.tokenizer import Tokenizer, Tokens
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

# So many pairs are tokenised and sorted at a time: enough for full batches, and memory stays flat. A GPU
# gets fewer at first, so that it has not to wait.
_CHUNK, _FIRST_CHUNK = 4096, 512


@dataclass(frozen=True, slots=True)
class _Portion:
    """Different pairs, each tokenised once, and which of them each pair of the caller is."""

    pairs: list[Pair]
    inputs: list[Tokens]
    which: list[int]


class CrossEncoder(PairScorer):
    """A cross-encoder, with sentence-transformers' methods and results.

    One object serves any number of threads, and, unless it is on a GPU, processes forked off it.

    Args:
        model_name_or_path: A bundled model, a folder, or a Hugging Face name.
        max_length: Cut pairs to so many tokens; the model's own limit by default.
        threads: Processors to use; by default all that this process may use.
        device: ``cpu``, the default, ``cuda``, ``cuda:1`` or ``mps``. A GPU needs the extra
            ``crossrank[torch]``, and so do models that OpenVINO has no graph for.

    Attributes:
        name: What was asked for.
        scoring: What the model's outputs mean.
        interpolation: How its logit goes together with what first stages know; None: not known.
        tokenizer: The model's tokenizer.
        scripts: The writing systems that the model reads, as Unicode names them (``LATIN``); None: any.
        notices: What a person should know about the loaded model, one sentence each.

    Raises:
        ModelError: The model does not exist, cannot be loaded, or is no reranker.
        InputError: ``max_length`` is too short for a query and a passage, or there is no such device here.
        MissingExtraError: The device or the model needs PyTorch, which is not installed.

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
        device: str | None = None,
    ) -> None:
        check_device(device)
        model = open_model(model_name_or_path, safetensors=on_gpu(device))
        self.name = model.name
        require_head(model)
        self.scoring = scoring_of(model)
        self.interpolation = interpolation_of(model)
        kind = PromptTokenizer if is_language_model(model) else Tokenizer
        self.tokenizer = kind(model, max_tokens=max_length)
        scripts = model.json("crossrank.json").get("scripts")
        self.scripts = frozenset(str(script) for script in scripts) if isinstance(scripts, list) else None
        self._engine: Engine
        self.notices: tuple[str, ...] = ()
        width = self.scoring.labels
        if runs_on_openvino(model, device):
            self._engine, self.notices = load_engine(
                model, CROSS_ENCODER, self.tokenizer, threads=threads, width=width
            )
        else:
            self._engine = load_torch_engine(
                model, self.tokenizer, device=device, threads=threads, width=width
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
        on_gpu = self._engine.on_gpu
        parts = growing_parts(len(pairs), _FIRST_CHUNK if on_gpu else _CHUNK, _CHUNK)
        portions = [pairs[part] for part in parts]
        prepared = prefetch(self._tokenise, portions) if on_gpu else map(self._tokenise, portions)
        for part, portion in zip(parts, prepared, strict=True):
            logits[part], truncated[part] = self._score(portion, progress)
        return logits, truncated

    def _tokenise(self, pairs: Sequence[Pair]) -> _Portion:
        numbers: dict[Pair, int] = {}
        which = [numbers.setdefault((query, passage), len(numbers)) for query, passage in pairs]
        return _Portion(list(numbers), self.tokenizer.pairs(list(numbers)), which)

    def _score(
        self, portion: _Portion, progress: Progress | None
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        outputs = self._engine.run(portion.inputs, progress)
        if progress and len(portion.which) > len(portion.inputs):
            progress(len(portion.which) - len(portion.inputs))
        logits = self.scoring.logits(outputs)
        if not np.isfinite(logits).all():
            bad = portion.pairs[int(np.flatnonzero(~np.isfinite(logits))[0])]
            raise ModelError(f"{self.name} gave a score that is not a number for the passage {bad[1]!r:.80}")
        truncated = np.array([tokens.truncated for tokens in portion.inputs], np.intp)
        return logits[portion.which], truncated[portion.which]

    def unknown_share(self, text: str) -> float:
        """The share of a text's tokens that the model's vocabulary lacks, from 0 to 1."""
        return self.tokenizer.unknown_share(text)
