"""Evaluation of the held-out questions before and after a training, by collection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from crossrank.evaluation.compare import Comparison, compare
from crossrank.evaluation.measures import Evaluation, evaluate_run
from crossrank.evaluation.runs import untied
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.models.folder import ModelFolder
from crossrank.training.mining import Progress, TrainingList


@dataclass(slots=True)
class Figures:
    """Evaluations of several models on the same questions.

    Attributes:
        lists: The questions with their candidates.
        evaluations: Evaluations by the name of the ranking, in the order in which they were added.
    """

    lists: Sequence[TrainingList]
    evaluations: dict[str, Evaluation] = field(default_factory=dict)

    def add(self, name: str, scores: Sequence[Sequence[float]]) -> None:
        """Add a ranking by its scores, one per candidate of each list.

        In ties, relevant candidates are ranked last, so that a model gains nothing from giving equal scores.
        """
        run = {
            str(number): {
                str(len(values) - 1 - place): value for place, value in reversed(list(enumerate(values)))
            }
            for number, values in enumerate(scores)
        }
        qrels = {
            str(number): {str(len(item.documents) - 1 - place): 1 for place in range(item.relevant)}
            for number, item in enumerate(self.lists)
        }
        self.evaluations[name] = evaluate_run(untied(run), qrels)

    def by_source(self, measure: str) -> dict[str, dict[str, float]]:
        """The mean of a measure over a collection's questions, by collection and ranking."""
        sources = dict.fromkeys(item.source for item in self.lists)
        return {
            source: {
                name: fmean(
                    evaluation.per_query[str(number)][measure]
                    for number, item in enumerate(self.lists)
                    if item.source == source
                )
                for name, evaluation in self.evaluations.items()
            }
            for source in sources
        }

    def gain(self, before: str, after: str) -> Comparison:
        """Compare nDCG@10 of two rankings, paired by question."""
        return compare(self.evaluations[before], self.evaluations[after])

    def as_dict(self) -> dict[str, Any]:
        """A dictionary for JSON: the questions, and each ranking's measures, overall and by collection."""
        measures = ("nDCG@10", "MRR@10")
        return {
            "questions": len(self.lists),
            "mean": {name: {m: e.means[m] for m in measures} for name, e in self.evaluations.items()},
            "by_collection": {m: self.by_source(m) for m in measures},
        }

    def write(self, file: Path) -> None:
        """Write :meth:`as_dict` as JSON."""
        file.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")


def ranks(model: ModelFolder) -> bool:
    """Whether a model has a classification head, and can rank without training."""
    return "SequenceClassification" in str(model.config.get("architectures"))


def logits(model: CrossEncoder, lists: Sequence[TrainingList], progress: Progress) -> list[list[float]]:
    """A model's logits for the candidates of each list."""
    values = []
    for number, item in enumerate(lists, start=1):
        values.append(model.logits([(item.query, text) for text in item.documents])[0].tolist())
        progress(f"Measuring {Path(model.name).name}", number, len(lists))
    return values
