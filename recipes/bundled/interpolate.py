"""How the bundled cross-encoder's logit goes together with what first stages know: into its crossrank.json.

    python recipes/bundled/interpolate.py CONFIG MODEL

CONFIG is the training's (train-long.toml).

`crossrank train` fits these weights on questions that were kept out of the training, which is right for texts
like those it learnt from. The bundled model is for other people's texts, where it knows less than on its own
collections, and first stages know as much as ever: weights fitted there would trust it too much. So logit and
evidence are each made log-odds on the kept-out questions, and both count alike (a logarithmic opinion pool:
Genest and Zidek, 1986, https://doi.org/10.1214/ss/1177013825). The evidence is the training's teacher. For
the same reason the logit is doubted (:class:`~crossrank.inference.interpolation.EvidenceWeights`).
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights, Interpolation
from crossrank.retrieval.similarity_scale import similarity_scale
from crossrank.training.calibration import combined, fit_logits
from crossrank.training.figures import Figures, logits
from crossrank.training.mining import Miner, TrainingList
from crossrank.training.settings import TrainingSettings, read_settings

# How likely the model is wrong, whatever it says; chosen with small trials on collections that they never
# saw (README.md).
DOUBT = 0.1


def main() -> None:
    """Fit, write, and print how the kept-out questions are ranked."""
    config, folder = map(Path, sys.argv[1:])
    settings = read_settings(config)
    embedder = BiEncoder(settings.embedder)
    lists = kept_out(settings, embedder)
    own = logits(CrossEncoder(folder), lists, lambda *_: None)
    figures = Figures(lists)
    figures.add("similarity", [item.similarities for item in lists])
    figures.add("similarity and words", [item.targets for item in lists])
    figures.add("alone", own)
    weights = pool(lists, own, similarity=settings.teacher_scale, word_match=settings.word_scale)
    for choice in weights:
        figures.add(choice.name, combined(choice, lists, own))
    file = folder / "crossrank.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known["interpolation"] = dataclasses.asdict(
        Interpolation(settings.embedder, embedder.fingerprint, weights, similarity_scale(embedder))
    )
    known.pop("calibration", None)  # of the former weights; calibrate.py fits it again
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures.as_dict(), indent=1))


def kept_out(settings: TrainingSettings, embedder: BiEncoder) -> list[TrainingList]:
    """The questions that a training with these settings keeps out: seed and collections alone choose them."""
    one_each = tuple(dataclasses.replace(data, limit=1) for data in settings.data)
    settings = dataclasses.replace(settings, data=one_each, passes=1, unjudged=0.0)
    miner = Miner(settings, embedder, lambda *_: None)
    deque(miner.lists(), maxlen=0)  # they are complete when all lists are made
    return miner.validation


def pool(
    lists: Sequence[TrainingList],
    own: Sequence[Sequence[float]],
    *,
    similarity: float,
    word_match: float,
) -> tuple[EvidenceWeights, ...]:
    """Weights with which logit and evidence, each as log-odds, count alike, and the sum is log-odds again.

    Where a part of the evidence is missing the rest counts as it would next to it.

    Args:
        lists: Questions that were kept out.
        own: The model's logits.
        similarity: How much the similarity counts within the evidence.
        word_match: How much the word match does.
    """
    evidence = [item.targets for item in lists]
    (a, b), (c, d) = fit_logits(lists, own), fit_logits(lists, evidence)
    found = []
    for near, words in ((similarity, None), (None, word_match), (similarity, word_match)):
        plain = EvidenceWeights(
            logit=a,
            constant=b + d,
            similarity=None if near is None else c * near,
            word_match=None if words is None else c * words,
            doubt=DOUBT,
        )
        scale, shift = fit_logits(lists, combined(plain, lists, own))
        found.append(
            dataclasses.replace(
                plain,
                logit=scale * plain.logit,
                constant=scale * plain.constant + shift,
                similarity=None if plain.similarity is None else scale * plain.similarity,
                word_match=None if plain.word_match is None else scale * plain.word_match,
            )
        )
    return tuple(found)


if __name__ == "__main__":
    main()
