"""What int8 costs: nDCG@10 of the bundled models next to the float models that they were made from.

    python benchmarks/int8_quality.py EVAL_FOLDER --cross-encoder FOLDER [--embedder FOLDER]

EVAL_FOLDER holds judged collections in BEIR layout. Cross-encoders rank BM25's best 20 for the first 100
judged queries of each collection; bi-encoders search the whole collection for the same queries.
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
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.memory import MemoryRetriever

QUERIES = 100
CANDIDATES = 20
# English collections; the last two are left out for their size and for their language.
LEFT_OUT = {"xquad_de", "xquad_zh", "cnil_faq_fr", "arguana"}


def main() -> None:
    """Print one table for each kind of model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cross-encoder", type=Path, required=True)
    parser.add_argument("--embedder", type=Path)
    arguments = parser.parse_args()
    collections = []
    for folder in sorted(arguments.folder.iterdir()):
        if folder.is_dir() and folder.name not in LEFT_OUT:
            collection = load_collection(folder)
            queries = dict(list(collection.queries.items())[:QUERIES])
            qrels = {query: collection.qrels[query] for query in queries}
            collections.append(replace(collection, queries=queries, qrels=qrels))
    rerankers = Reranker(arguments.cross_encoder), Reranker()
    rows = {c.name: [rerank(c, reranker) for reranker in rerankers] for c in collections}
    show("cross-encoder over BM25", rows)
    if arguments.embedder:
        embedders = BiEncoder(arguments.embedder), BiEncoder()
        rows = {c.name: [search(c, embedder) for embedder in embedders] for c in collections}
        show("bi-encoder alone", rows)


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
    print(f"\n| {title}, nDCG@10 | float | int8 | difference |\n|---|---|---|---|")
    for name, (float_value, int8_value) in rows.items():
        print(f"| {name} | {float_value:.4f} | {int8_value:.4f} | {int8_value - float_value:+.4f} |")
    float_mean, int8_mean = (fmean(column) for column in zip(*rows.values(), strict=True))
    print(f"| **mean** | {float_mean:.4f} | {int8_mean:.4f} | {int8_mean - float_mean:+.4f} |", flush=True)


if __name__ == "__main__":
    main()
