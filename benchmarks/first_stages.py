"""How well the first stages find: nDCG@10 of words, vectors and both on judged collections, next to bm25s.

    python benchmarks/first_stages.py EVAL_FOLDER

EVAL_FOLDER holds judged collections in BEIR layout; every judged query of each is asked. bm25s (extra test)
has its own defaults and its own English stop words.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import bm25s

from crossrank.evaluation import Collection, evaluate_run, load_collection
from crossrank.evaluation.experiment import own_documents, retrieve_candidates, run_of
from crossrank.evaluation.runs import untied
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.retrieval.base import Retrieval
from crossrank.retrieval.memory import MemoryRetriever

DEPTH = 100
RETRIEVALS: tuple[Retrieval, ...] = ("lexical", "dense", "hybrid")
# Its judgements are of pools that are to be ranked, not searched for.
LEFT_OUT = {"mediqa2019_qa"}
# The bundled embedder, and bm25s's stop words, know English.
OTHER_LANGUAGES = {"cnil_faq_fr", "xquad_de", "xquad_zh"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    embedder = BiEncoder()
    rows: dict[str, list[float]] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in LEFT_OUT):
        collection = load_collection(path)
        runs = [bm25s_run(collection)]
        for retrieval in RETRIEVALS:
            retriever = MemoryRetriever(collection.documents, retrieval=retrieval, embedder=embedder)
            runs.append(run_of(retrieve_candidates(collection, retriever, candidates=DEPTH)))
        rows[path.name] = [evaluate_run(run, collection.qrels).means["nDCG@10"] for run in runs]
    print("| collection | bm25s | lexical | dense | hybrid |\n|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in row)} |")
    english = [row for name, row in rows.items() if name not in OTHER_LANGUAGES]
    for title, chosen in (("mean, all", list(rows.values())), ("mean, English", english)):
        means = [fmean(column) for column in zip(*chosen, strict=True)]
        print(f"| **{title}** | {' | '.join(f'{value:.3f}' for value in means)} |")


def bm25s_run(collection: Collection) -> dict[str, dict[str, float]]:
    """The best candidates of bm25s, without the query's own document."""
    texts = [document.content for document in collection.documents]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    words = bm25s.tokenize(list(collection.queries.values()), stopwords="en", show_progress=False)
    depth = min(DEPTH + 1, len(texts))
    found, scores = index.retrieve(words, k=depth, show_progress=False)
    run, own = {}, own_documents(collection)
    for query, positions, values in zip(collection.queries, found, scores, strict=True):
        best = {
            collection.documents[int(position)].id: float(value)
            for position, value in zip(positions, values, strict=True)
            if position != own.get(query)
        }
        run[query] = dict(list(best.items())[:DEPTH])
    return untied(run)


if __name__ == "__main__":
    main()
