"""What int8 costs: nDCG@10 of the bundled models in int8, next to float32.

    python benchmarks/int8_quality.py EVAL_FOLDER [COLLECTION ...] [--queries 100]
        [--cross-encoder FOLDER] [--embedder FOLDER]

EVAL_FOLDER holds judged collections in BEIR layout; by default, all English ones are measured. Cross-encoders
rank BM25's best 20, bi-encoders search the whole collection, for all judged queries or the first ones.

FOLDER is the float model that a bundled model was made from: then the difference is that of the weights and
the arithmetic together. Without it, the bundled weights are computed in float32 and in int8: that is the
difference of the arithmetic, with the ranges of activations that are stored with the model (static int8).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from crossrank.evaluation import Collection, evaluate_run, load_collection
from crossrank.evaluation.experiment import (
    rerank_candidates,
    reranked_run,
    retrieve_candidates,
    run_of,
)
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.memory import MemoryRetriever

CANDIDATES = 20
# Of other languages, or large.
LEFT_OUT = {"xquad_de", "xquad_zh", "cnil_faq_fr", "arguana"}


def main() -> None:
    """Print one table for each kind of model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("collections", nargs="*", metavar="COLLECTION")
    parser.add_argument("--queries", type=int, help="this number of them; by default all")
    parser.add_argument("--cross-encoder", default=DEFAULT_CROSS_ENCODER, metavar="FOLDER")
    parser.add_argument("--embedder", default=DEFAULT_BI_ENCODER, metavar="FOLDER")
    parser.add_argument("--only", choices=["cross-encoder", "bi-encoder"])
    arguments = parser.parse_args()
    names = arguments.collections or [
        folder.name for folder in sorted(arguments.folder.iterdir()) if folder.name not in LEFT_OUT
    ]
    collections = [first_queries(load_collection(arguments.folder / n), arguments.queries) for n in names]
    if arguments.only != "bi-encoder":
        rerankers = (
            Reranker(arguments.cross_encoder, precision="float32"),
            Reranker(DEFAULT_CROSS_ENCODER, precision="int8"),
        )
        print(f"int8: {rerankers[1].model.precision.arithmetic}")
        rows = {c.name: [len(c.queries), *(rerank(c, each) for each in rerankers)] for c in collections}
        show("cross-encoder over BM25", rows)
    if arguments.only != "cross-encoder":
        embedders = (
            BiEncoder(arguments.embedder, precision="float32"),
            BiEncoder(DEFAULT_BI_ENCODER, precision="int8"),
        )
        rows = {c.name: [len(c.queries), *(search(c, each) for each in embedders)] for c in collections}
        show("bi-encoder alone", rows)


def first_queries(collection: Collection, count: int | None) -> Collection:
    """The collection with its first judged queries alone."""
    queries = dict(list(collection.queries.items())[:count])
    return replace(collection, queries=queries, qrels={query: collection.qrels[query] for query in queries})


def rerank(collection: Collection, reranker: Reranker) -> float:
    """nDCG@10 of one cross-encoder."""
    lexical = MemoryRetriever(collection.documents, retrieval="lexical")
    found = retrieve_candidates(collection, lexical, candidates=CANDIDATES)
    after = reranked_run(found, rerank_candidates(collection, found, reranker))
    return evaluate_run(after, collection.qrels).means["nDCG@10"]


def search(collection: Collection, embedder: BiEncoder) -> float:
    """nDCG@10 of one bi-encoder."""
    dense = MemoryRetriever(collection.documents, retrieval="dense", embedder=embedder)
    run = run_of(retrieve_candidates(collection, dense, candidates=CANDIDATES))
    return evaluate_run(run, collection.qrels).means["nDCG@10"]


def show(title: str, rows: dict[str, list[float]]) -> None:
    """One table."""
    print(f"\n| {title}, nDCG@10 | queries | float32 | int8 | difference |\n|---|---|---|---|---|")
    for name, (queries, float_value, int8_value) in rows.items():
        difference = int8_value - float_value
        print(f"| {name} | {queries} | {float_value:.4f} | {int8_value:.4f} | {difference:+.4f} |")
    _, float_mean, int8_mean = (fmean(column) for column in zip(*rows.values(), strict=True))
    print(f"| **mean** | | {float_mean:.4f} | {int8_mean:.4f} | {int8_mean - float_mean:+.4f} |", flush=True)


if __name__ == "__main__":
    main()
