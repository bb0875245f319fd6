"""How the bundled cross-encoder's logit goes together with what first stages know: into its crossrank.json.

    python recipes/bundled/evidence.py LISTS MODEL

LISTS are the lists of candidates.py, of which the fields that are kept out of the training are read; MODEL is
the trained float model. Its head is scaled first, so that its logits are log-odds there (Platt scaling).

`crossrank train` fits these weights on questions that were kept out of the training, which is right for texts
like those it learnt from. The bundled model is for other people's texts, so here whole fields are kept out.
The weights are those that order the candidates of their questions best (:func:`listwise_weights`). Printed is
nDCG@10 on each field with weights from the others, and then with the weights that are written.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from fields import KEPT_OUT
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.evaluation.listwise import listwise_weights
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, Interpolation
from crossrank.models.locate import DEFAULT_BI_ENCODER
from crossrank.retrieval.similarity_scale import similarity_scale
from crossrank.training.calibration import combined, fit_logits
from crossrank.training.figures import Figures, logits
from crossrank.training.mining import TrainingList

CHOICES = ((SIMILARITY,), (WORD_MATCH,), (SIMILARITY, WORD_MATCH))
# How likely the model is wrong, whatever it says: the middle of a flat region (README.md).
DOUBT = 0.1

Logits = Sequence[Sequence[float]]


def main() -> None:
    """Scale, choose, fit, write, and print how the fields that are kept out are ranked."""
    folder, model = map(Path, sys.argv[1:])
    lists = kept_out(folder)
    own = logits(CrossEncoder(model), lists, lambda *_: None)
    scale, shift = fit_logits(lists, own)
    scale_head(model, scale, shift)
    own = [[scale * value + shift for value in row] for row in own]
    figures = Figures(lists)
    figures.add("similarity", [item.similarities for item in lists])
    figures.add("alone", own)
    weights = []
    for names in CHOICES:
        print(" and ".join(names), round(on_other_fields(lists, own, names), 4), flush=True)
        weights.append(fit(lists, own, names))
        figures.add(weights[-1].name, combined(weights[-1], lists, own))
    embedder = BiEncoder()
    file = model / "crossrank.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known["interpolation"] = dataclasses.asdict(
        Interpolation(DEFAULT_BI_ENCODER, embedder.fingerprint, tuple(weights), similarity_scale(embedder))
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


def on_other_fields(lists: Sequence[TrainingList], own: Logits, names: tuple[str, ...]) -> float:
    """nDCG@10, mean of the fields, each with weights that were fitted on the others."""
    found = []
    for field in dict.fromkeys(item.source for item in lists):
        known = [place for place, item in enumerate(lists) if item.source != field]
        asked = [place for place, item in enumerate(lists) if item.source == field]
        weights = fit([lists[place] for place in known], [own[place] for place in known], names)
        figures = Figures([lists[place] for place in asked])
        scores = combined(weights, figures.lists, [own[place] for place in asked])
        figures.add("combined", scores)
        found.append(figures.by_source("nDCG@10")[field]["combined"])
    return fmean(found)


def fit(lists: Sequence[TrainingList], own: Logits, names: tuple[str, ...]) -> EvidenceWeights:
    """The weights of a doubted logit and of evidence that order the candidates best; the sum is log-odds."""
    only = EvidenceWeights(logit=1.0, constant=0.0, doubt=DOUBT)
    tables = [
        _table([only.combine(value, {}) for value in row], item, names)
        for row, item in zip(own, lists, strict=True)
    ]
    wanted = [np.arange(len(row)) < item.relevant for row, item in zip(own, lists, strict=True)]
    weights = listwise_weights(tables, wanted)
    scale, shift = fit_logits(lists, [(table @ weights).tolist() for table in tables])
    logit, *others = (scale * weights).tolist()
    weighed = dict(zip(names, others, strict=True))
    return EvidenceWeights(logit, shift, weighed.get(SIMILARITY), weighed.get(WORD_MATCH), DOUBT)


def _table(counted: list[float], item: TrainingList, names: tuple[str, ...]) -> NDArray[np.float64]:
    known = {SIMILARITY: item.similarities, WORD_MATCH: item.word_matches}
    return np.array([counted, *(known[name] for name in names)]).T


if __name__ == "__main__":
    main()
