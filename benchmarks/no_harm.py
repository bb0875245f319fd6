"""Whether reranking makes any search worse: the default against its first stage, on judged collections.

    python -m benchmarks.no_harm EVAL_FOLDER [--only NAME]... [--queries N] [--candidates N] [--passages N]
        [--model MODEL] [--embedder NAME] [--tune]

Prints a table in Markdown: nDCG@10 of the hybrid first stage and of its reranking as a Searcher does it, and
the difference with its 95% interval, paired by query. Small collections come first; of each, N queries drawn
by chance. With ``--passages``, of larger collections only the passages that are relevant to a drawn query,
and others drawn by chance, N together. With ``--tune``, also what ``crossrank eval --tune`` learns,
cross-validated: each query is ranked with weights learnt from others, and nothing of it is kept.

A passage that is a question itself is left out: ArguAna searches counter-arguments for its own passages.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from crossrank.errors import InputError
from crossrank.evaluation import (
    Collection,
    Comparison,
    Evaluation,
    load_collection,
    mean_interval,
    retrieve_candidates,
    run_experiment,
)
from crossrank.evaluation.judged import judged_queries
from crossrank.evaluation.tuning import tune
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.memory import MemoryRetriever
from crossrank.search import rescaled_interpolation

_SEED = 7


def main() -> None:
    """Search, rerank, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append")
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--passages", type=int)
    parser.add_argument("--model", default=DEFAULT_CROSS_ENCODER)
    parser.add_argument("--embedder")
    parser.add_argument("--tune", action="store_true")
    arguments = parser.parse_args()
    embedder = BiEncoder(arguments.embedder) if arguments.embedder else BiEncoder()
    # The logits are needed twice for --tune.
    reranker = Reranker(arguments.model, score_cache="memory")
    header = ["collection", "queries", "first stage", "reranked", "difference", "95% interval"]
    header += ["tuned", "difference", "95% interval", "eval --tune says"] if arguments.tune else []
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    gains: list[list[float]] = []
    tuned: list[list[float]] = []
    folders = [path for path in arguments.folder.iterdir() if (path / "corpus.jsonl").is_file()]
    for folder in sorted(folders, key=lambda path: (path / "corpus.jsonl").stat().st_size):
        if arguments.only and folder.name not in arguments.only:
            continue
        collection = drawn(load_collection(folder), arguments.queries, arguments.passages)
        retriever = MemoryRetriever(collection.documents, embedder=embedder)
        found = retrieve_candidates(collection, retriever, candidates=arguments.candidates)
        own = rescaled_interpolation(retriever, reranker.model)
        experiment = run_experiment(
            collection, found, reranker, candidates=arguments.candidates, interpolation=own
        )
        cells = [
            collection.name,
            str(len(collection.queries)),
            *_cells(experiment.comparisons["nDCG@10"], first=True),
        ]
        gains.append(_gains(experiment.before, experiment.after))
        if arguments.tune:
            judged = judged_queries(collection, found, reranker, candidates=arguments.candidates)
            try:
                report = tune(judged, collection.qrels, own, embedder=embedder.name)
            except InputError as error:
                cells += ["", "", "", str(error)]
            else:
                cells += [*_cells(report.gain), report.verdict]
                tuned.append(_gains(report.first_stage, report.interpolated))
        print(f"| {' | '.join(cells)} |", flush=True)
    print()
    for name, values in (("Reranked", gains), ("Tuned", tuned)):
        if values:
            low, high = mean_interval([value for own in values for value in own])
            mean = fmean(map(fmean, values))
            interval = f"95% interval {low:+.3f} to {high:+.3f}"
            print(f"{name}: mean of the collections {mean:+.3f}; of all queries, {interval}.")


def drawn(collection: Collection, queries: int, passages: int | None) -> Collection:
    """A smaller collection: queries drawn by chance, and passages as the module says."""
    chance = random.Random(_SEED)
    chosen = chance.sample(list(collection.queries), min(queries, len(collection.queries)))
    questions = {query: collection.queries[query] for query in chosen}
    qrels = {query: collection.qrels[query] for query in chosen}
    documents = [one for one in collection.documents if one.text not in set(questions.values())]
    if passages is not None and len(documents) > passages:
        relevant = {name for grades in qrels.values() for name, grade in grades.items() if grade > 0}
        others = [one.id for one in documents if one.id not in relevant]
        kept = relevant.union(chance.sample(others, max(0, min(len(others), passages - len(relevant)))))
        documents = [one for one in documents if one.id in kept]
    return replace(collection, documents=tuple(documents), queries=questions, qrels=qrels)


def _cells(one: Comparison, *, first: bool = False) -> list[str]:
    low, high = one.interval
    means = [f"{one.mean_a:.3f}"] if first else []
    return [*means, f"{one.mean_b:.3f}", f"{one.difference:+.3f}", f"{low:+.3f} to {high:+.3f}"]


def _gains(before: Evaluation, after: Evaluation) -> list[float]:
    return [
        after.per_query[query]["nDCG@10"] - values["nDCG@10"] for query, values in before.per_query.items()
    ]


if __name__ == "__main__":
    main()
