"""How many candidates a search reads with each effort, and what that changes.

    python -m benchmarks.effort FOLDER [--queries 60] [--candidates 100]

FOLDER holds judged collections in BEIR layout. Every collection is searched with the bundled models (hybrid
first stage): reading all candidates, with ``effort="full"`` and with ``"fast"``. The table has the share of
candidates that were read, the hits that differ from those of reading all, and nDCG at top_n and the time as
shares of those of reading all.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import ir_measures

from crossrank.documents import Candidate
from crossrank.evaluation import Collection, load_collection
from crossrank.evaluation.experiment import retrieve_candidates
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.ranking.effort import Effort
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.memory import MemoryRetriever

EFFORTS: tuple[Effort, ...] = ("full", "fast")


@dataclass
class Tally:
    """What one effort did over all queries."""

    read: int = 0
    hits: int = 0
    other: int = 0
    ndcg: list[float] = field(default_factory=list)
    seconds: float = 0.0


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--queries", type=int, default=60, help="of each collection, drawn with a fixed seed")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some collections; by default all")
    parser.add_argument("--top-n", type=int, nargs="+", default=[3, 10])
    arguments = parser.parse_args()
    reranker, embedder = Reranker(), BiEncoder("all-MiniLM-L6-v2")
    print("| collection | top_n | effort | read | hits that differ | nDCG, as a share | time, as a share |")
    print("|---|---|---|---|---|---|---|")
    total: dict[tuple[int, str], Tally] = {}
    for folder in sorted(arguments.folder.iterdir()):
        if not (folder / "corpus.jsonl").is_file() or folder.name not in (arguments.only or [folder.name]):
            continue
        collection = _sample(load_collection(folder), arguments.queries)
        retriever = MemoryRetriever(collection.documents, retrieval="hybrid", embedder=embedder)
        found = {
            query: list(candidates)[: arguments.candidates]
            for query, candidates in retrieve_candidates(collection, retriever).items()
        }
        for top_n in arguments.top_n:
            measured = search(collection, found, reranker, top_n)
            for effort in EFFORTS:
                _print(folder.name, top_n, effort, measured["all"], measured[effort])
            for effort, tally in measured.items():
                _add(total.setdefault((top_n, effort), Tally()), tally)
    for top_n in arguments.top_n if total else ():
        for effort in EFFORTS:
            _print("all", top_n, effort, total[top_n, "all"], total[top_n, effort])


def search(
    collection: Collection, found: dict[str, list[Candidate]], reranker: Reranker, top_n: int
) -> dict[str, Tally]:
    """Rank every query's candidates in each way, one query at a time, as a search does."""
    tallies = {name: Tally() for name in ("all", *EFFORTS)}
    for query, candidates in found.items():
        best: Sequence[str] = ()
        for name, tally in tallies.items():
            started = time.perf_counter()
            if name == "all":
                ranking = reranker.rank(collection.queries[query], candidates)
            else:
                effort: Effort = "fast" if name == "fast" else "full"
                ranking = reranker.rank(collection.queries[query], candidates, top_n=top_n, effort=effort)
            tally.seconds += time.perf_counter() - started
            hits = [hit.document.id for hit in ranking[:top_n]]
            best = best or hits
            tally.read += ranking.scored
            tally.hits += len(hits)
            tally.other += len(set(best) - set(hits))
            run = {query: {document: float(-rank) for rank, document in enumerate(hits)}}
            qrels = {query: dict(collection.qrels[query])}
            measure = ir_measures.nDCG @ top_n
            tally.ndcg.append(ir_measures.calc_aggregate([measure], qrels, run)[measure])
    return tallies


def _sample(collection: Collection, number: int) -> Collection:
    names = list(collection.queries)
    chosen = set(random.Random(7).sample(names, min(number, len(names))))
    queries = {name: text for name, text in collection.queries.items() if name in chosen}
    return replace(collection, queries=queries, qrels={name: collection.qrels[name] for name in queries})


def _add(total: Tally, tally: Tally) -> None:
    total.read += tally.read
    total.hits += tally.hits
    total.other += tally.other
    total.ndcg += tally.ndcg
    total.seconds += tally.seconds


def _print(name: str, top_n: int, effort: str, everything: Tally, tally: Tally) -> None:
    ndcg = sum(tally.ndcg) / (sum(everything.ndcg) or 1)
    print(
        f"| {name} | {top_n} | {effort} | {tally.read / everything.read:.0%} "
        f"| {tally.other} of {tally.hits:,} | {ndcg:.4f} | {tally.seconds / everything.seconds:.0%} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
