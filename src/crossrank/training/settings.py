"""The settings of a training, read from a TOML file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrank.errors import InputError, file_error
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER


@dataclass(frozen=True, slots=True)
class JudgedData:
    """A judged collection to train on.

    Attributes:
        folder: In BEIR layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.
        split: The split of the judgements.
        limit: Maximum number of questions, chosen by the seed; to limit large or templated collections.
        pool: Collections with the same pool share their passages, which gives harder negatives; passages of
            the other collections count as not relevant. By default each collection has its own pool.
    """

    folder: Path
    split: str = "train"
    limit: int | None = None
    pool: str | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"{self.folder}: limit must be at least 1; it is {self.limit}")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """All settings of a training: the same settings on the same machine give the same model.

    Attributes:
        data: The collections to train on.
        base: The model to start from: a bundled one, a folder, or a Hub name. If it is a bi-encoder, a new
            classification head is added.
        embedder: The bi-encoder that finds negatives together with BM25, and whose similarity is a teacher.
        passes: Number of epochs; each uses other negatives.
        negatives: Number of negative passages per question.
        unjudged: Questions without judgements, made from titles, sentences and keywords of the passages, as a
            share of all lists; their targets come only from the teachers.
        validation: Number of questions per collection that are held out for validation.
        max_tokens: Maximum number of tokens per pair in training.
        lists_per_step: Batch size in questions, each with one relevant passage and its negatives.
        learning_rate: Peak learning rate of the encoder; warm-up over 5% of the steps, then decay to 0.
        head_learning_rate: Learning rate of the classification head.
        layer_decay: The learning rate of each layer is that of the layer above it times this factor.
        frozen_layers: Number of lowest layers to freeze, together with the word embeddings. This keeps what
            they know about words that are not in the training data, and a step is a quarter cheaper with two
            of six layers frozen. By default nothing is frozen.
        teacher_scale: Factor from the embedder's similarity to a target logit.
        word_scale: Factor from BM25, divided by the question's highest BM25, to a logit that is added to it:
            both teachers together rank better than either one.
        lift: How far the relevant passage's target is above the best other target, in logits.
        joint: The share of a judged question's loss that is computed on the sum of logit and evidence against
            the judgement; the evidence is the sum of both teachers with the scales above. The rest is the
            loss of the logit against the targets. At 0 the logit learns to rank alone; the higher the value,
            the more it learns to correct a first stage.
        seed: Seed of all random choices.

    Source:
        ListNet: Cao et al. (2007), Learning to Rank: From Pairwise Approach to Listwise Approach.
        Soft targets: Hofstätter et al. (2020), https://arxiv.org/abs/2010.02666.
    """

    data: tuple[JudgedData, ...]
    base: str = DEFAULT_CROSS_ENCODER
    embedder: str = DEFAULT_BI_ENCODER
    passes: int = 2
    negatives: int = 7
    unjudged: float = 0.0
    validation: int = 60
    max_tokens: int = 256
    lists_per_step: int = 8
    learning_rate: float = 2e-5
    head_learning_rate: float = 1e-4
    layer_decay: float = 1.0
    frozen_layers: int | None = None
    teacher_scale: float = 20.0
    word_scale: float = 6.0
    lift: float = 2.0
    joint: float = 0.0
    seed: int = 7

    def __post_init__(self) -> None:
        if not self.data:
            raise InputError("nothing to train on: name at least one folder in BEIR layout")
        for name, lowest in (
            ("passes", 1), ("negatives", 1), ("validation", 1), ("max_tokens", 16), ("lists_per_step", 1),
        ):  # fmt: skip
            if getattr(self, name) < lowest:
                raise InputError(f"{name} must be at least {lowest}; it is {getattr(self, name)}")
        for name in ("learning_rate", "head_learning_rate", "layer_decay", "teacher_scale"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0; it is {getattr(self, name)}")
        if self.frozen_layers is not None and self.frozen_layers < 0:
            raise InputError(f"frozen_layers must be at least 0; it is {self.frozen_layers}")
        if self.word_scale < 0:
            raise InputError(f"word_scale must be at least 0; it is {self.word_scale}")
        for name in ("unjudged", "joint"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is a share from 0 to below 1; it is {getattr(self, name)}")

    @property
    def fingerprint(self) -> str:
        """A digest of the settings: an interrupted training is resumed only with the same settings."""
        values = json.dumps(dataclasses.asdict(self), default=str, sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()[:16]


def read_settings(path: Path, **given: Any) -> TrainingSettings:
    """Read a training's settings.

    Args:
        path: A TOML file with the attributes of :class:`TrainingSettings` by name, and a ``[[data]]`` table
            per collection. Folders, and models written as ``./FOLDER``, are relative to the file.
        given: Values that override the file; None is ignored.

    Raises:
        InputError: The file cannot be read, or a name or value in it is invalid.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise file_error(f"{path} cannot be read as TOML: {error}", error) from error
    tables = values.pop("data", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{path}: each collection is a table of its own, written [[data]]")
    values["data"] = tuple(_data(path, table) for table in tables)
    for name in ("base", "embedder"):
        if str(values.get(name, "")).startswith("./"):
            values[name] = str(path.parent / values[name])
    values |= {name: value for name, value in given.items() if value is not None}
    return TrainingSettings(**_checked(path, values, TrainingSettings))


def _data(path: Path, table: Mapping[str, Any]) -> JudgedData:
    values = _checked(path, table, JudgedData)
    if "folder" not in values:
        raise InputError(f"{path}: a [[data]] table has no folder")
    return JudgedData(**{**values, "folder": path.parent / values["folder"]})


def claim(work: Path, settings: TrainingSettings) -> None:
    """Create the working folder of a training, or check that the existing one can be resumed.

    Raises:
        InputError: It contains a training with other settings.
    """
    work.mkdir(parents=True, exist_ok=True)
    file = work / "settings"
    if file.is_file() and file.read_text() != settings.fingerprint:
        raise InputError(
            f"{work} holds a training that was stopped and had other settings; "
            "give the same settings to resume it, or remove that folder to start again"
        )
    file.write_text(settings.fingerprint)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "Path": (str, Path),
}


def _checked(path: Path, values: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """Check that the values have the types of the class's fields."""
    fields = {field.name: str(field.type).removesuffix(" | None") for field in dataclasses.fields(cls)}
    for name, value in values.items():
        if name not in fields:
            raise InputError(f"{path}: there is no setting {name!r}; there are {', '.join(fields)}")
        kinds = _KINDS.get(fields[name])
        if kinds and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise InputError(f"{path}: {name} must be {fields[name]}; it is {value!r:.60}")
    return dict(values)
