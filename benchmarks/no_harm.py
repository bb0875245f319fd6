"""Whether reranking makes any search worse: the default against its first stage, on judged collections.

    python -m benchmarks.no_harm EVAL_FOLDER [--queries N] [--candidates N] [--model MODEL] [--embedder NAME]

Prints a table in Markdown: nDCG@10 of the hybrid first stage and of its reranking as a Searcher does it, and
the difference with its 95% interval, paired by query. Small collections come first; of each, N queries drawn
by chance.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from crossrank.evaluation import load_collection, mean_interval, retrieve_candidates, run_experiment
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.memory import MemoryRetriever

_SEED = 7


def main() -> None:
    """Search, rerank, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--model")
    parser.add_argument("--embedder")
    arguments = parser.parse_args()
    embedder = BiEncoder(arguments.embedder) if arguments.embedder else BiEncoder()
    reranker = Reranker(arguments.model) if arguments.model else Reranker()
    print("| collection | queries | first stage | reranked | difference | 95% interval |")
    print("|---|---|---|---|---|---|")
    gains: list[list[float]] = []
    folders = [path for path in arguments.folder.iterdir() if (path / "corpus.jsonl").is_file()]
    for folder in sorted(folders, key=lambda path: (path / "corpus.jsonl").stat().st_size):
        collection = load_collection(folder)
        queries = list(collection.queries)
        chosen = random.Random(_SEED).sample(queries, min(arguments.queries, len(queries)))
        collection = replace(
            collection,
            queries={query: collection.queries[query] for query in chosen},
            qrels={query: collection.qrels[query] for query in chosen},
        )
        retriever = MemoryRetriever(collection.documents, embedder=embedder)
        found = retrieve_candidates(collection, retriever, candidates=arguments.candidates)
        experiment = run_experiment(collection, found, reranker, candidates=arguments.candidates)
        one = experiment.comparisons["nDCG@10"]
        low, high = one.interval
        print(
            f"| {collection.name} | {len(chosen)} | {one.mean_a:.3f} | {one.mean_b:.3f} "
            f"| {one.difference:+.3f} | {low:+.3f} to {high:+.3f} |",
            flush=True,
        )
        before, after = experiment.before.per_query, experiment.after.per_query
        gains.append([after[query]["nDCG@10"] - before[query]["nDCG@10"] for query in before])
    mean = fmean(map(fmean, gains))
    low, high = mean_interval([value for own in gains for value in own])
    print(f"\nMean of the collections {mean:+.3f}; of all queries, 95% interval {low:+.3f} to {high:+.3f}.")


if __name__ == "__main__":
    main()
