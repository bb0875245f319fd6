"""How the bundled cross-encoder's logit goes together with what first stages know: into its crossrank.json.

    python recipes/bundled/evidence.py LISTS MODEL

LISTS are the lists of candidates.py, of which the fields that are kept out of the training are read; MODEL is
the trained float model. Its head is scaled first, so that its logits are log-odds there (Platt scaling).

`crossrank train` fits these weights on questions that were kept out of the training, which is right for texts
like those it learnt from. The bundled model is for other people's texts, so here whole fields are kept out.
The weights are those that order the candidates best (:func:`~crossrank.training.calibration.fit_weights`) for
the questions that people asked: the training had more headings than questions, and what the model says of
them is surer than what it says of anything else. Printed is nDCG@10 on each field with weights from the
others, and then with the weights that are written.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from fields import KEPT_OUT, KEPT_OUT_JUDGED
from safetensors.numpy import load_file, save_file

from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, Interpolation
from crossrank.models.locate import DEFAULT_BI_ENCODER
from crossrank.retrieval.similarity_scale import similarity_scale
from crossrank.training.calibration import combined, fit_logits, fit_weights
from crossrank.training.figures import Figures, logits
from crossrank.training.mining import TrainingList

# How likely the model is wrong, whatever it says. This bounds its logit, so that a search can stop before all
# candidates are read (README.md).
DOUBT = 0.1

Logits = Sequence[Sequence[float]]


def main() -> None:
    """Scale, fit, write, and print how the fields that are kept out are ranked."""
    folder, model = map(Path, sys.argv[1:])
    lists = kept_out(folder)
    own = logits(CrossEncoder(model), lists, lambda *_: None)
    scale, shift = fit_logits(lists, own)
    scale_head(model, scale, shift)
    own = [[scale * value + shift for value in row] for row in own]
    figures = Figures(lists)
    figures.add("similarity", [item.similarities for item in lists])
    figures.add("alone", own)
    print("by weights of the other fields:", on_other_fields(lists, own), flush=True)
    weights = fit(lists, own, KEPT_OUT_JUDGED)
    for choice in weights:
        figures.add(choice.name, combined(choice, lists, own))
    embedder = BiEncoder()
    file = model / "crossrank.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known["interpolation"] = dataclasses.asdict(
        Interpolation(DEFAULT_BI_ENCODER, embedder.fingerprint, weights, similarity_scale(embedder))
    )
    known.pop("calibration", None)  # of the former weights; calibrate.py fits it again
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures.as_dict(), indent=1))


def kept_out(folder: Path) -> list[TrainingList]:
    """The questions of the fields that are kept out, and their candidates, the relevant ones first."""
    found = []
    for name in sorted(KEPT_OUT):
        if not (file := folder / f"{name}.json.gz").is_file():
            continue
        content = json.loads(gzip.decompress(file.read_bytes()))
        for item in content["lists"]:
            relevant = set(item["relevant"])
            rows = zip(item["candidates"], item["similarity"], item["word_match"], strict=True)
            places, similarities, matches = zip(
                *sorted(rows, key=lambda row: row[0] not in relevant), strict=True
            )
            found.append(
                TrainingList(
                    name,
                    item["query"],
                    tuple(content["passages"][place] for place in places),
                    targets=similarities,
                    relevant=len(relevant & set(places)),
                    similarities=similarities,
                    word_matches=matches,
                )
            )
    if not found:
        sys.exit(f"{folder} has none of the fields that are kept out")
    return found


def scale_head(folder: Path, scale: float, shift: float) -> None:
    """Make a model's logits what they are times ``scale`` plus ``shift``."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["classifier.weight"] = tensors["classifier.weight"] * np.float32(scale)
    tensors["classifier.bias"] = tensors["classifier.bias"] * np.float32(scale) + np.float32(shift)
    save_file(tensors, file, metadata={"format": "pt"})


def on_other_fields(lists: Sequence[TrainingList], own: Logits) -> dict[str, float]:
    """nDCG@10 by the evidence that is used: mean of the fields, each with weights fitted on the others."""
    found = defaultdict(list)
    for field in dict.fromkeys(item.source for item in lists):
        asked = [place for place, item in enumerate(lists) if item.source == field]
        figures = Figures([lists[place] for place in asked])
        for choice in fit(lists, own, KEPT_OUT_JUDGED - {field}):
            figures.add(choice.name, combined(choice, figures.lists, [own[place] for place in asked]))
        for name, value in figures.by_source("nDCG@10")[field].items():
            found[name].append(value)
    return {name: round(fmean(values), 4) for name, values in found.items()}


def fit(lists: Sequence[TrainingList], own: Logits, fields: Collection[str]) -> tuple[EvidenceWeights, ...]:
    """The weights of a doubted logit and of each choice of evidence, by the questions of these fields."""
    only = EvidenceWeights(logit=1.0, constant=0.0, doubt=DOUBT)
    known = [place for place, item in enumerate(lists) if item.source in fields]
    doubted = [[only.combine(value, {}) for value in own[place]] for place in known]
    fitted = fit_weights([lists[place] for place in known], doubted, cosine=True)
    return tuple(dataclasses.replace(choice, doubt=DOUBT) for choice in fitted)


if __name__ == "__main__":
    main()
