"""The probability that a passage is relevant, by what the bundled model ranks by: into its crossrank.json.

    python recipes/bundled/calibrate.py DATA MODEL [--plot PLOT] [--embedder EMBEDDER]

DATA is as in fields.py. The calibration is fitted on the judged collections that no training sees, with the
first stage and the number of candidates that a search has by default. MODEL's other settings stay as they
are. Run it last: after the weights of its evidence have changed, the sums are others.

With another EMBEDDER nothing is fitted or written: it prints how good MODEL's probabilities are behind it,
with the weights that a search rescales for it.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
from fields import KEPT_OUT, SEED

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.evaluation.calibrating import Reliability, calibrate_model
from crossrank.evaluation.collection import load_collection
from crossrank.evaluation.experiment import retrieve_candidates
from crossrank.evaluation.judged import JudgedQuery, judged_queries
from crossrank.evaluation.plot import plot_reliability
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.interpolation import Interpolation
from crossrank.models.locate import DEFAULT_BI_ENCODER
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.memory import MemoryRetriever
from crossrank.search import rescaled_interpolation

QUESTIONS = 120
CANDIDATES = 20


def main() -> None:
    """Score, fit, write, and print how good the probabilities are on questions that a fit has not seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--embedder")
    arguments = parser.parse_args()
    reranker, embedder = Reranker(arguments.model), BiEncoder(arguments.embedder or DEFAULT_BI_ENCODER)
    judged: list[JudgedQuery] = []
    retriever: MemoryRetriever | None = None
    for name in sorted(KEPT_OUT):
        folder = arguments.data / "train" / name
        if not folder.is_dir():  # a field without judgements
            continue
        collection = load_collection(folder, split="train")
        asked = sorted(collection.queries)
        asked = random.Random(f"{SEED} {name}").sample(asked, min(QUESTIONS, len(asked)))
        collection = replace(collection, queries={query: collection.queries[query] for query in asked})
        retriever = MemoryRetriever(collection.documents, embedder=embedder)
        found = retrieve_candidates(collection, retriever, candidates=CANDIDATES)
        judged += judged_queries(collection, found, reranker, candidates=CANDIDATES)
        print(name, len(judged), flush=True)
    if retriever is None:
        parser.error(f"{arguments.data} has none of the collections that are kept out")
    if arguments.embedder:
        searched = rescaled_interpolation(retriever, reranker.model)
        print(json.dumps(reliability(judged, searched).to_dict(), indent=1))
        return
    calibrated = calibrate_model(reranker.model.interpolation, judged)
    calibrated.save(arguments.model)
    print(json.dumps({name: report.to_dict() for name, report in calibrated.reports.items()}, indent=1))
    *_, used = calibrated.reports.values()
    if arguments.plot:
        name = arguments.model.resolve().name
        plot_reliability(
            arguments.plot, name, {"Candidates": used.candidates, "Best of each query": used.best}
        )


def reliability(judged: list[JudgedQuery], interpolation: Interpolation | None) -> Reliability:
    """How good the calibration is that the weights have, for similarity and words together."""
    weights = interpolation.weights_for({SIMILARITY, WORD_MATCH}) if interpolation else None
    if weights is None or weights.calibration is None:
        raise SystemExit("the model has no probabilities for similarity and words together")
    sums, relevant = zip(*(query.best(weights) for query in judged), strict=True)
    probabilities = [weights.calibration.probabilities(own) for own in sums]
    return Reliability(np.concatenate(probabilities), np.concatenate(relevant))


if __name__ == "__main__":
    main()
