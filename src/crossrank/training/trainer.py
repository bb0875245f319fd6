"""The training itself: sentence-transformers' trainer, on lists with graded targets."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from crossrank.errors import MissingExtraError, ModelError
from crossrank.training import memory
from crossrank.training.losses import list_loss
from crossrank.training.mining import TrainingList
from crossrank.training.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from transformers import TrainerCallback

LogLine: TypeAlias = dict[str, float]
"""One line of a training's log: ``step``, ``loss`` or ``ndcg@10``, and further values."""

_WEIGHT_DECAY = 0.01
_WARM_UP = 0.05
# Lists are sorted by length within groups of this number of steps, for little padding in a random order.
_STEPS_SORTED_TOGETHER = 25
_CHECKPOINTS, _VALIDATIONS = 20, 10
# Memory freed by a step is reused by the next one; without trimming, fragmentation would grow to gigabytes.
_STEPS_UNTIL_TRIM = 10
# During training, only some questions are evaluated; all are evaluated at the end.
_VALIDATED_QUESTIONS = 48


def require_train() -> None:
    """Check early that the extra is installed.

    Raises:
        MissingExtraError: A library of the extra is not installed.
    """
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
        import scipy  # noqa: F401
        import sentence_transformers  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("training", "train") from error


def batch_order(lengths: Sequence[int], lists_per_step: int, seed: int) -> list[int]:
    """A random order in which the lists of a step have similar lengths.

    Example:
        >>> sorted(batch_order([5, 1, 4, 2], lists_per_step=2, seed=7))
        [0, 1, 2, 3]
    """
    chosen = random.Random(seed)
    order = list(range(len(lengths)))
    chosen.shuffle(order)
    stretch = lists_per_step * _STEPS_SORTED_TOGETHER
    steps: list[list[int]] = []
    for start in range(0, len(order), stretch):
        part = sorted(order[start : start + stretch], key=lambda place: lengths[place])
        together = [part[at : at + lists_per_step] for at in range(0, len(part), lists_per_step)]
        chosen.shuffle(together)
        steps += together
    # The step that is not full comes last, where it does not shift the others' bounds.
    steps.sort(key=lambda step: len(step) < lists_per_step)
    return [place for step in steps for place in step]


class ListwiseTrainer:
    """Trains a cross-encoder on lists, and resumes an interrupted training.

    Args:
        base: A float folder (:func:`~crossrank.training.base_model.write_float_folder`).
        work: The folder for checkpoints and log.jsonl.
        settings: The settings of the training.
        log: Called with each new line of the log.

    Raises:
        ModelError: PyTorch cannot load the base as a model with one score.
    """

    def __init__(
        self, base: Path, work: Path, settings: TrainingSettings, log: Callable[[LogLine, int], object]
    ) -> None:
        self._work, self._settings, self._log = work, settings, log
        self.model = _load(base, settings)
        self._full_length = json.loads((base / "config.json").read_text()).get("max_position_embeddings", 512)

    def train(self, lists: Dataset, validation: Sequence[TrainingList]) -> None:
        """Train to the end, from the last checkpoint if there is one.

        Args:
            lists: Columns ``query``, ``documents``, ``evidence``, ``relevant``, ``labels``, in this order.
            validation: Held-out lists; some of them are evaluated during the training.
        """
        from sentence_transformers.cross_encoder import (
            CrossEncoderTrainer,
            CrossEncoderTrainingArguments,
        )

        memory.keep_freed_memory()
        settings = self._settings
        order = batch_order(_lengths(lists, settings.max_tokens), settings.lists_per_step, settings.seed)
        options = self._options(steps=-(-len(lists) // settings.lists_per_step))
        arguments = CrossEncoderTrainingArguments(**options)
        trainer = CrossEncoderTrainer(
            model=self.model,
            args=arguments,
            train_dataset=lists.select(order),
            loss=list_loss(self.model, settings.joint),
            evaluator=_evaluator(validation, bf16=bool(arguments.bf16)),
            callbacks=[_callback(self._work / "log.jsonl", self._log), _memory_callback()],
        )
        for name in ("PrinterCallback", "ProgressCallback"):
            for callback in [c for c in trainer.callback_handler.callbacks if type(c).__name__ == name]:
                trainer.remove_callback(callback)
        last = last_checkpoint(self._work / "checkpoints")
        trainer.train(resume_from_checkpoint=str(last) if last else None)

    def _options(self, *, steps: int) -> dict[str, Any]:
        """The training arguments for sentence-transformers' trainer."""
        settings = self._settings
        return {
            "output_dir": str(self._work / "checkpoints"),
            "num_train_epochs": 1,
            "per_device_train_batch_size": settings.lists_per_step,
            "batch_sampler": _in_order,
            "learning_rate": settings.learning_rate,
            "learning_rate_mapping": _learning_rates(self.model, settings),
            "weight_decay": _WEIGHT_DECAY,
            "warmup_steps": max(1, round(steps * _WARM_UP)),
            "lr_scheduler_type": "linear",
            "seed": settings.seed,
            "data_seed": settings.seed,
            "save_strategy": "steps",
            "save_steps": max(1, steps // _CHECKPOINTS),
            "save_total_limit": 2,
            "eval_strategy": "steps",
            "eval_steps": max(1, steps // _VALIDATIONS),
            "logging_steps": max(1, steps // 200),
            "logging_nan_inf_filter": False,
            "dataloader_pin_memory": False,
            "disable_tqdm": True,
            "report_to": "none",
            **_device_arguments(),
        }

    def save(self, folder: Path, scale: float = 1.0, shift: float = 0.0) -> None:
        """Write a Hugging Face folder, without changing the model.

        Args:
            folder: The folder to write.
            scale: The saved model's logits are the trained ones times ``scale`` plus ``shift``.
            shift: See ``scale``.
        """
        network = self.model[0].auto_model
        classifier = _classifier_name(network)
        tensors = dict(network.state_dict())
        tensors[f"{classifier}.weight"] = tensors[f"{classifier}.weight"] * scale
        tensors[f"{classifier}.bias"] = tensors[f"{classifier}.bias"] * scale + shift
        network.save_pretrained(folder, state_dict=tensors)
        tokenizer = copy.deepcopy(self.model.tokenizer)
        tokenizer.model_max_length = self._full_length
        tokenizer.save_pretrained(folder)


def _lengths(lists: Dataset, max_tokens: int) -> list[int]:
    """The approximate length of each list in characters, about four or five per token."""
    return [sum(min(len(text), 5 * max_tokens) for text in documents) for documents in lists["documents"]]


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint, or None."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    return next((path for path in found if _is_json(path / "trainer_state.json")), None)


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text())
    except (OSError, ValueError):
        return False
    return True


def _load(base: Path, settings: TrainingSettings) -> CrossEncoder:
    import torch
    from sentence_transformers import CrossEncoder
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(settings.seed)  # a new head is initialised randomly
    try:
        model = CrossEncoder(
            str(base),
            num_labels=1,
            max_length=settings.max_tokens,
            local_files_only=True,
            # For short pairs; scoring.py changes it for long ones.
            model_kwargs=None if torch.cuda.is_available() else {"attn_implementation": "eager"},
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{settings.base} cannot be trained: {str(error)[:300]}") from error
    for module in model.modules():
        # No dropout: a few epochs do not overfit, and on a CPU the random numbers take as long as the model.
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if settings.frozen_layers is not None:
        _freeze(model, settings.frozen_layers)
    return model


def _freeze(model: CrossEncoder, layers: int) -> None:
    """Freeze the embeddings and the lowest layers."""
    for name, parameter in model.named_parameters():
        layer = re.search(r"\.layers?\.(\d+)\.", name)
        if "embeddings" in name or (layer and int(layer[1]) < layers):
            parameter.requires_grad = False


def _classifier_name(network: Any) -> str:
    """The name of the last linear layer, which gives the score."""
    import torch

    linear = [
        name
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == 1
    ]
    return str(linear[-1])


def _learning_rates(model: CrossEncoder, settings: TrainingSettings) -> dict[str, float]:
    """Learning rates that differ from the encoder's, by patterns of parameter names."""
    rates: dict[str, float] = {}
    names = [name for name, _ in model.named_parameters()]
    if settings.layer_decay != 1:
        layers = model[0].auto_model.config.num_hidden_layers
        for layer in range(layers):
            rates[rf"\.layers?\.{layer}\."] = settings.learning_rate * settings.layer_decay ** (
                layers - 1 - layer
            )
        rates[r"embeddings"] = settings.learning_rate * settings.layer_decay**layers
    for part in ("pooler", "classifier"):
        if any(part in name for name in names):
            rates[part] = settings.head_learning_rate
    return rates


def _device_arguments() -> dict[str, Any]:
    """bfloat16 if the device computes it faster than float32, otherwise float32."""
    import torch

    if torch.cuda.is_available():
        # Both came with NVIDIA's Ampere; on an earlier GPU the trainer refuses them.
        recent = torch.cuda.get_device_capability() >= (8, 0)
        return {"bf16": recent, "tf32": recent}
    return {"use_cpu": True, "bf16": bool(torch.cpu.get_capabilities().get("avx512_bf16"))}


def _in_order(dataset: Dataset, *, generator: Any = None, **options: Any) -> Any:
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from torch.utils.data import SequentialSampler

    return DefaultBatchSampler(SequentialSampler(dataset), **options)


def _evaluator(validation: Sequence[TrainingList], *, bf16: bool) -> Any:
    """sentence-transformers' reranking evaluator on questions of all collections, in the training's dtype."""
    import torch
    from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator

    class Evaluator(CrossEncoderRerankingEvaluator):
        def __call__(self, model: CrossEncoder, *args: Any, **options: Any) -> dict[str, float]:
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                return super().__call__(model, *args, **options)

    step = max(1, len(validation) // _VALIDATED_QUESTIONS)
    samples = [_sample(item) for item in validation[::step]]
    return Evaluator(samples=samples, write_csv=False, batch_size=32)


def _sample(item: TrainingList) -> dict[str, Any]:
    relevant = list(item.documents[: item.relevant])
    return {"query": item.query, "positive": relevant, "negative": list(item.documents[item.relevant :])}


def _callback(file: Path, log: Callable[[LogLine, int], object]) -> TrainerCallback:
    from transformers import TrainerCallback

    class Log(TrainerCallback):
        """Writes the trainer's log; on resuming, drops lines that are newer than the checkpoint."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            kept = [line for line in read_log(file) if line["step"] <= state.global_step]
            file.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            names = {"loss": "loss", "learning_rate": "learning_rate", "eval_ndcg@10": "ndcg@10"}
            line = {"step": float(state.global_step)}
            line |= {new: float(logs[old]) for old, new in names.items() if old in (logs or {})}
            if len(line) == 1:
                return
            with file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            log(line, state.max_steps)

    return Log()


def _memory_callback() -> TrainerCallback:
    from transformers import TrainerCallback

    class GiveBack(TrainerCallback):
        """Returns freed memory to the system from time to time."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % _STEPS_UNTIL_TRIM == 0:
                memory.trim()

    return GiveBack()


def read_log(file: Path) -> list[LogLine]:
    """Read a training's log; an incomplete last line is left out."""
    lines: list[LogLine] = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
