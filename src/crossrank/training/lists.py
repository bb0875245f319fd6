"""The lists of a training on disk: made once, and read again when the training is resumed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossrank.inference.bi_encoder import BiEncoder
from crossrank.training.mining import Miner, Progress, TrainingList
from crossrank.training.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset


def prepare_lists(folder: Path, settings: TrainingSettings, embedder: BiEncoder, progress: Progress) -> None:
    """Mine all lists of a training and write them; the folder exists only when it is complete.

    Args:
        folder: The folder to write; its parent must exist.
        settings: The settings of the training.
        embedder: The embedder that finds negatives and is a teacher.
        progress: Called with the current task, the amount done, and the total.
    """
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    partial = folder.with_name("lists.partial")
    shutil.rmtree(partial, ignore_errors=True)
    miner = Miner(settings, embedder, progress)
    lines = partial / "lists.jsonl"
    partial.mkdir()
    with lines.open("w", encoding="utf-8") as stream:
        for item in miner.lists():
            row = {
                "query": item.query,
                "documents": item.documents,
                "evidence": item.evidence,
                "relevant": item.relevant,
                "labels": item.targets,
            }
            stream.write(json.dumps(row) + "\n")
    Dataset.from_generator(
        _rows, gen_kwargs={"file": str(lines)}, cache_dir=str(partial / "cache")
    ).save_to_disk(str(partial / "train"))
    (partial / "validation.json").write_text(
        json.dumps([dataclasses.asdict(item) for item in miner.validation]), encoding="utf-8"
    )
    shutil.rmtree(partial / "cache")
    lines.unlink()
    partial.replace(folder)


def load_lists(folder: Path) -> tuple[Dataset, list[TrainingList]]:
    """Read the training lists and the validation lists.

    The training lists have the columns ``query``, ``documents``, ``evidence``, ``relevant`` and ``labels``
    (the targets).
    """
    from datasets import load_from_disk

    items = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
    for item in items:
        item.update({name: tuple(value) for name, value in item.items() if isinstance(value, list)})
    return load_from_disk(str(folder / "train")), [TrainingList(**item) for item in items]


def _rows(file: str) -> Iterator[dict[str, Any]]:
    with Path(file).open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)
