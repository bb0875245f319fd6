"""What a score cache saves: the time to rerank the same candidates again.

    python -m benchmarks.score_cache [--model MODEL]

Reranks the passages of the sample collection for its questions, with the model's own time alone: without a
cache, and with a cache in memory and in a file that has none, half and all of the scores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from crossrank import CrossEncoder, ScoreCache
from crossrank.evaluation import load_collection

_SAMPLES = Path(__file__).parents[1] / "src" / "crossrank" / "samples" / "judged"
_PAIRS = 100
_ROUNDS = 5


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="crossrank-minilm-l6")
    model_name = parser.parse_args().model
    collection = load_collection(_SAMPLES)
    passages = [document.content for document in collection.documents][:_PAIRS]
    questions = list(collection.queries.values())[:_ROUNDS]
    asked = [[(question, passage) for passage in passages] for question in questions]
    print(f"Milliseconds for {len(passages)} candidates, the median of {len(asked)} questions.\n")
    print("| cache | none known | half known | all known |\n|---|---|---|---|")
    plain = CrossEncoder(model_name)
    print(f"| none | {seconds(plain, asked):.1f} | | |")
    with tempfile.TemporaryDirectory() as folder:
        for name, file in (("memory", None), ("file", Path(folder, "scores.sqlite"))):
            model = CrossEncoder(model_name, score_cache=ScoreCache(file))
            half = CrossEncoder(model_name, score_cache=ScoreCache(file and file.with_name("half.sqlite")))
            for pairs in asked:
                half.logits(pairs[::2])
            row = [seconds(model, asked), seconds(half, asked), seconds(model, asked)]
            print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in row) + " |")


def seconds(model: CrossEncoder, asked: Sequence[Sequence[tuple[str, str]]]) -> float:
    """The median time for the pairs of a question, in milliseconds."""
    times = []
    for pairs in asked:
        started = time.perf_counter()
        model.logits(pairs)
        times.append(1000 * (time.perf_counter() - started))
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main()
