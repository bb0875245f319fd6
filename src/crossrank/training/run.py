"""Run a whole training: prepare lists, train, evaluate, and write the model folder."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crossrank.conversion.quantise import write_int8, write_settings
from crossrank.errors import InputError, ModelError
from crossrank.families import names_with_graph
from crossrank.families.model import Model, open_model
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import Interpolation
from crossrank.retrieval.similarity_scale import similarity_scale
from crossrank.training.base_model import write_float_folder
from crossrank.training.calibration import combined, fit_logits, fit_weights
from crossrank.training.card import write_card
from crossrank.training.figures import Figures, logits, ranks
from crossrank.training.lists import load_lists, prepare_lists
from crossrank.training.mining import Progress
from crossrank.training.plot import plot_training
from crossrank.training.settings import TrainingSettings, claim
from crossrank.training.trainer import ListwiseTrainer, LogLine, read_log, require_train


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """The result of a training.

    Attributes:
        model: The model's folder, in float32; its subfolder ``int8`` has the copy for the CPU engine.
        pairs: Number of (question, passage) pairs in the training.
        figures: Evaluation of the held-out questions, before and after the training.
    """

    model: Path
    pairs: int
    figures: Figures


def train(
    settings: TrainingSettings,
    output: Path,
    *,
    progress: Progress = lambda *_: None,
    log: Callable[[LogLine, int], object] = lambda *_: None,
) -> TrainingReport:
    """Train a cross-encoder and write its folder; an interrupted training is resumed when called again.

    Until it is done, all files are in ``OUTPUT.training``. The result is a Hugging Face model folder with
    model.safetensors, config.json, the tokenizer and README.md (the model card), and in addition
    training.jsonl, training.png, figures.json, and the int8 copy in ``int8``.

    Args:
        settings: The settings of the training.
        output: The folder to write; it must not exist.
        progress: Called with the current task, the amount done, and the total.
        log: Called with each line of the training's log, and the total number of steps.

    Returns:
        The path of the model, and its evaluation.

    Raises:
        InputError: The output exists, the data cannot be read, or OUTPUT.training contains a training with
            other settings.
        ModelError: The base model or the embedder cannot be loaded, or its architecture has no OpenVINO
            graph.
        MissingExtraError: ``crossrank[train]`` is not installed.

    Example:
        >>> settings = TrainingSettings(data=(JudgedData(Path("my-questions")),))  # doctest: +SKIP
        >>> train(settings, Path("my-reranker")).model  # doctest: +SKIP
        PosixPath('my-reranker')
    """
    require_train()
    if output.exists():
        raise InputError(f"{output} exists; name a new folder, or remove it first")
    base = _open_base(settings.base)
    embedder = BiEncoder(settings.embedder)
    work = output.with_name(f"{output.name}.training")
    claim(work, settings)
    if not (work / "lists").is_dir():
        prepare_lists(work / "lists", settings, embedder, progress)
    lists, validation = load_lists(work / "lists")
    write_float_folder(base, work / "base")
    trainer = ListwiseTrainer(work / "base", work, settings, log)
    trainer.train(lists, validation)

    model = work / "model"
    shutil.rmtree(model, ignore_errors=True)
    trainer.save(model)
    figures = Figures(validation)
    figures.add("bi-encoder", [list(item.similarities) for item in validation])
    if ranks(base):
        figures.add("before", logits(CrossEncoder(work / "base"), validation, progress))
    trained = logits(CrossEncoder(model), validation, progress)
    figures.add("after", trained)
    scale, shift = fit_logits(validation, trained)
    trainer.save(model, scale, shift)
    calibrated = [[scale * value + shift for value in row] for row in trained]
    cosine = embedder.similarity == "cosine"
    if weights := fit_weights(validation, calibrated, cosine=cosine):
        interpolation = Interpolation(
            settings.embedder, embedder.fingerprint, weights, similarity_scale(embedder)
        )
        write_settings(model, {"interpolation": dataclasses.asdict(interpolation)})
        for choice in weights:
            figures.add(f"after, {choice.name}", combined(choice, validation, calibrated))
    write_int8(open_model(model), model / "int8")
    figures.add("after, int8", logits(CrossEncoder(model / "int8"), validation, progress))

    shutil.copyfile(work / "log.jsonl", model / "training.jsonl")
    plot_training(model / "training.png", read_log(work / "log.jsonl"))
    figures.write(model / "figures.json")
    pairs = sum(len(labels) for labels in lists["labels"])
    write_card(model, base, settings, figures, pairs)
    model.replace(output)
    shutil.rmtree(work, ignore_errors=True)
    return TrainingReport(output, pairs, figures)


def _open_base(name: str) -> Model:
    base = open_model(name)
    if not base.has_graph or "auto_map" in base.config:
        # Checked now, since the model is evaluated and quantised only after the training.
        raise ModelError(
            f"{name} cannot be trained here: it takes safetensors weights of one of the families "
            f"{', '.join(names_with_graph())}; it is {base.architecture}"
        )
    return base
