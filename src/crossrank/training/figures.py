"""How a training's held-out questions are ranked: before, after, and what a collection gained."""

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
    """Rankings of the same questions by several models.

    Attributes:
        lists: The questions, each with its candidates.
        evaluations: Name of a ranking to its evaluation, in the order in which they were added.
    """

    lists: Sequence[TrainingList]
    evaluations: dict[str, Evaluation] = field(default_factory=dict)

    def add(self, name: str, scores: Sequence[Sequence[float]]) -> None:
        """Add a ranking by its scores, one for each candidate of each list.

        Candidates with equal scores stand with the relevant ones last, so that no model gains by being blind.
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
        """Collection to ranking to the measure's mean over the collection's questions."""
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
        """nDCG@10 of one ranking against another's, paired by question."""
        return compare(self.evaluations[before], self.evaluations[after])

    def as_dict(self) -> dict[str, Any]:
        """Plain values: questions, and each ranking's measures on average and by collection."""
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
    """Whether a model can rank as it is: an embedder has no head that scores."""
    return "SequenceClassification" in str(model.config.get("architectures"))


def logits(model: CrossEncoder, lists: Sequence[TrainingList], progress: Progress) -> list[list[float]]:
    """What a model gives the candidates of each list."""
    values = []
    for number, item in enumerate(lists, start=1):
        values.append(model.logits([(item.query, text) for text in item.documents])[0].tolist())
        progress(f"Measuring {Path(model.name).name}", number, len(lists))
    return values
