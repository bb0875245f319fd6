"""How often a search answers, rightly or wrongly, by the least probability of an answer.

    python -m benchmarks.abstaining COLLECTION UNANSWERABLE [--other OTHER] [--questions N] [--plot PLOT]

COLLECTION is a judged collection in BEIR layout whose questions have an answer. UNANSWERABLE is a file of
JSON Lines with questions (``question``) to the same passages that none of them answers; of a file with
``in_xquad``, the rows where it is true. OTHER is a judged collection about something else, whose questions
are asked here.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from crossrank.evaluation import load_collection
from crossrank.evaluation.plot import require_plot
from crossrank.search import Searcher

_SEED = 7
_LEAST = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Best = list[tuple[float, bool]]
"""Of each question: the probability of the best hit, and whether it is right."""


def main() -> None:
    """Search, and print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("collection", type=Path)
    parser.add_argument("unanswerable", type=Path)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--model")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    if arguments.plot:
        require_plot(arguments.plot)
    collection = load_collection(arguments.collection)
    rows = [json.loads(line) for line in arguments.unanswerable.read_text(encoding="utf-8").splitlines()]
    asked = {
        "answerable": list(collection.queries),
        "unanswerable": [row["question"] for row in rows if row.get("in_xquad", True)],
        "something else": [],
    }
    if arguments.other:
        asked["something else"] = list(load_collection(arguments.other, split="train").queries.values())
    options = {"model": arguments.model} if arguments.model else {}
    searcher = Searcher(collection.documents, **options)
    found: dict[str, Best] = {}
    for kind, questions in asked.items():
        chosen = random.Random(_SEED).sample(questions, min(arguments.questions, len(questions)))
        found[kind] = []
        for question in chosen:
            grades = collection.qrels[question] if kind == "answerable" else {}
            text = collection.queries[question] if kind == "answerable" else question
            hit = searcher.search(text, top_n=1, on_truncation="ignore")[0]
            found[kind].append((hit.probability or 0.0, grades.get(hit.document.id, 0) > 0))
    print(table(found))
    for kind in list(found)[1:]:
        if found[kind]:
            print(f"\nAn answerable question has the higher probability than one of {kind}: "
                  f"{higher(found['answerable'], found[kind]):.0%}")  # fmt: skip
    if arguments.plot:
        plot(arguments.plot, found)


def table(found: dict[str, Best]) -> str:
    """Shares by least probability, in Markdown."""
    answerable, *others = (kind for kind in found if found[kind])
    head = [
        "`min_probability`",
        "answerable: answered",
        "and rightly",
        *(f"{kind}: answered" for kind in others),
    ]
    lines = [" | ".join(head), " | ".join(["---"] * len(head))]
    for least in _LEAST:
        shares = [answered(found[answerable], least), rightly(found[answerable], least)]
        shares += [answered(found[kind], least) for kind in others]
        lines.append(" | ".join([f"{least:g}", *(f"{share:.0%}" for share in shares)]))
    count = ", ".join(f"{len(found[kind])} {kind}" for kind in found)
    return "\n".join([f"Questions: {count}.", "", *(f"| {line} |" for line in lines)])


def answered(best: Best, least: float) -> float:
    """The share of questions with an answer."""
    return sum(probability >= least for probability, _ in best) / len(best)


def rightly(best: Best, least: float) -> float:
    """The share of questions with a right answer."""
    return sum(probability >= least and right for probability, right in best) / len(best)


def higher(a: Best, b: Best) -> float:
    """How often a question of a has a higher probability than one of b (the area under the ROC curve)."""
    return sum((x > y) + 0.5 * (x == y) for x, _ in a for y, _ in b) / (len(a) * len(b))


def plot(path: Path, found: dict[str, Best]) -> None:
    """Draw the rightly answered against the wrongly answered."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    least = [number / 100 for number in range(101)]
    for kind, colour in zip(list(found)[1:], ("#0072B2", "#E69F00"), strict=True):
        if found[kind]:
            x: Sequence[float] = [answered(found[kind], one) for one in least]
            y = [rightly(found["answerable"], one) for one in least]
            axes.plot(x, y, color=colour, label=f"questions without an answer: {kind}")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel("share of questions without an answer that are answered")
    axes.set_ylabel("share of answerable questions that are answered rightly")
    axes.legend(frameon=False, loc="lower right")
    axes.grid(color="#D9D9D9", linewidth=0.6)
    figure.savefig(path)


if __name__ == "__main__":
    main()
