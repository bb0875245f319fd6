"""What is trained on what: the settings of one training, read from a TOML file."""

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
        split: Which judgements.
        limit: At most so many of its questions, chosen by the seed: a cap on large or templated sets.
        pool: Collections of one pool share their passages, so that a question meets harder negatives; a
            passage of the other collections counts as not relevant. By default each is its own.
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
    """One training, complete: the same settings and machine give the same model.

    Attributes:
        data: What is trained on.
        base: The model that is trained further: a bundled one, a folder, a Hub name. A bi-encoder may serve;
            the part that scores is then new.
        embedder: The bi-encoder that finds negatives, beside BM25, and teaches by its similarity.
        passes: How often each question is seen, every time with other negatives.
        negatives: Passages that are not relevant, a question.
        unjudged: Questions without judgements, made of titles, sentences and keywords of the passages, as a
            share of all lists; for them the teachers alone say what the order should be.
        validation: Questions of each collection that are kept out of the training and measured.
        max_tokens: Question and passage together are cut to so many tokens while training.
        lists_per_step: Questions in one step, each with one relevant passage and its negatives.
        learning_rate: Of the encoder, at its highest; it rises for a twentieth of the steps, then falls to 0.
        head_learning_rate: Of the part that scores.
        layer_decay: Each layer's learning rate is that of the layer above it times this.
        frozen_layers: So many of the lowest layers stay as they are, and the word embeddings with them: what
            they know of words that the training lacks is kept, and a step is a quarter cheaper with two of
            six. By default everything is trained.
        teacher_scale: Similarity times this is the logit that the embedder would give.
        word_scale: BM25, as a share of the question's highest, times this is added to it: the two together
            order passages better than either.
        lift: By how much the relevant passage's target is above the best other one's, in logits.
        joint: What share of a judged question's loss is that of a sum, against the judgement: the logit plus
            the evidence, which is what similarity and words say by the two scales above. The rest is the loss
            of the logit alone, against the targets. At 0 the logit learns to stand alone; the higher, the
            more it learns to correct a first stage.
        seed: Of every choice.

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
        """A short name for these settings: a training that was stopped goes on only with the same ones."""
        values = json.dumps(dataclasses.asdict(self), default=str, sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()[:16]


def read_settings(path: Path, **given: Any) -> TrainingSettings:
    """Read a training's settings.

    Args:
        path: TOML: the attributes of :class:`TrainingSettings` by name, and a ``[[data]]`` table for each
            collection. Folders, and models written ``./FOLDER``, are relative to the file.
        given: What takes precedence over the file; None is no value.

    Raises:
        InputError: The file cannot be read, or a name or a value in it is wrong.
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
    """Make the folder in which a training lies until it is done, or go on with the one that is there.

    Raises:
        InputError: It holds a training with other settings.
    """
    work.mkdir(parents=True, exist_ok=True)
    file = work / "settings"
    if file.is_file() and file.read_text() != settings.fingerprint:
        raise InputError(
            f"{work} holds a training that was stopped and had other settings; "
            "give the same settings to go on with it, or remove that folder to start anew"
        )
    file.write_text(settings.fingerprint)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "Path": (str, Path),
}


def _checked(path: Path, values: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """The values, each of the type that the class's field has."""
    fields = {field.name: str(field.type).removesuffix(" | None") for field in dataclasses.fields(cls)}
    for name, value in values.items():
        if name not in fields:
            raise InputError(f"{path}: there is no setting {name!r}; there are {', '.join(fields)}")
        kinds = _KINDS.get(fields[name])
        if kinds and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise InputError(f"{path}: {name} must be {fields[name]}; it is {value!r:.60}")
    return dict(values)
