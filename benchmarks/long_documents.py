"""What it costs to read long documents whole, and what it gains.

    python -m benchmarks.long_documents COLLECTION [--split train] [--queries 60] [--candidates 10]

COLLECTION is a judged collection in BEIR layout whose passages have titles. Passages that follow each other
under one title are joined to long documents, so that the answer to a question may be anywhere in one. A
lexical first stage finds candidates among them, and the bundled model ranks these in each way. The table
has the mean reciprocal rank of the right document, the share of questions whose best window holds the right
passage, the windows a document, the tokens that were not read, and the time a question.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from crossrank.documents import Candidate, Document, Ranking
from crossrank.evaluation import Collection, load_collection
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.memory import MemoryRetriever

WAYS: Mapping[str, Mapping[str, Any]] = {
    "truncate": {"long_documents": "truncate"},
    "first": {"long_documents": "first"},
    "windows": {"long_documents": "windows"},
    "windows, mean of the best 2": {"long_documents": "windows", "best_windows": 2},
    "windows, mean of the best 3": {"long_documents": "windows", "best_windows": 3},
}


def main() -> None:
    """Join, search and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--queries", type=int, default=60, help="drawn with a fixed seed")
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--joined", type=int, default=8, help="how many passages make a document")
    arguments = parser.parse_args()
    collection = load_collection(arguments.collection, split=arguments.split)
    documents, places = join(collection, arguments.joined)
    retriever = MemoryRetriever(documents, retrieval="lexical")
    asked: list[tuple[str, str, tuple[int, int], list[Candidate]]] = []
    names = list(collection.queries)
    random.Random(7).shuffle(names)
    for name in names:
        [right, *others] = (one for one, grade in collection.qrels[name].items() if grade > 0)
        document, start, end = places[right]
        found = retriever.retrieve(collection.queries[name], arguments.candidates)
        if not others and any(one.document.id == document for one in found):
            plain = [Candidate(one.document, one.rank) for one in found]
            asked.append((collection.queries[name], document, (start, end), plain))
        if len(asked) == arguments.queries:
            break
    characters = sum(len(document.text) for document in documents) / len(documents)
    print(f"{len(documents)} documents of {characters:,.0f} characters; {len(asked)} questions\n")
    print(
        "| long_documents | MRR | right passage in the best window | windows read | unread tokens | seconds |"
    )
    print("|---|---|---|---|---|---|")
    reranker = Reranker()
    for way, options in WAYS.items():
        rankings, started = [], time.perf_counter()
        for query, _, _, found in asked:
            rankings.append(reranker.rank(query, found, on_truncation="ignore", **options))
        seconds = (time.perf_counter() - started) / len(asked)
        rows = [
            (ranking, document, place)
            for ranking, (_, document, place, _) in zip(rankings, asked, strict=True)
        ]
        print(f"| {way} | {measured(rows)} | {seconds:.2f} |", flush=True)


def join(collection: Collection, number: int) -> tuple[list[Document], dict[str, tuple[str, int, int]]]:
    """Join passages under one title; also the document, begin and end of each passage."""
    documents: list[Document] = []
    places: dict[str, tuple[str, int, int]] = {}
    for title, same in groupby(collection.documents, key=lambda document: document.title):
        passages = list(same)
        for first in range(0, len(passages), number):
            text = ""
            for passage in passages[first : first + number]:
                text += "\n\n" if text else ""
                places[passage.id] = str(len(documents)), len(text), len(text) + len(passage.text)
                text += passage.text
            documents.append(Document(str(len(documents)), text, title))
    return documents, places


def measured(rows: list[tuple[Ranking, str, tuple[int, int]]]) -> str:
    """The columns of the table, but for the time."""
    reciprocal = inside = windows = unread = hits = 0.0
    for ranking, document, (start, end) in rows:
        right = next(hit for hit in ranking if hit.document.id == document)
        reciprocal += 1 / right.rank
        if right.window:
            # The middle of the passage, which may be in two windows.
            inside += right.window.start <= (start + end) / 2 < right.window.end
        # Of a document that was not read to its end, one window was read.
        windows += sum(hit.window.count if hit.window and not hit.truncated_tokens else 1 for hit in ranking)
        unread += ranking.truncated_tokens
        hits += len(ranking)
    shown = "" if not inside else f"{inside / len(rows):.0%}"
    return f"{reciprocal / len(rows):.3f} | {shown} | {windows / hits:.1f} | {unread / hits:,.0f}"


if __name__ == "__main__":
    main()
