"""The pictures of docs/concepts.md, from the bundled models, the sample texts and the tables of docs/engines.

python docs/site/pictures.py
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossrank import Searcher, load_documents, split_documents
from crossrank.evaluation import load_collection

DOCS = Path(__file__).parents[1]
SAMPLES = files("crossrank") / "samples"
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#999999", "#333333"
QUESTION = "How can I sleep when there is a lot of noise around me?"


def main() -> None:
    """Draw all of them."""
    matplotlib.rcParams.update({"svg.hashsalt": "crossrank", "font.size": 11, "text.color": INK})
    collection = load_collection(SAMPLES / "judged")
    searcher = Searcher(collection.documents)
    notes = Searcher(split_documents(load_documents([SAMPLES / "texts"]).documents))
    two_stages(len(collection.documents))
    hybrid(notes)
    scores(searcher)
    evidence(notes)
    calibration(collection, searcher)
    precision()


def panel(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one panel and no frame at the top and the right."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Figure, name: str) -> None:
    """Write it, the same bytes each time."""
    figure.savefig(DOCS / "images" / f"{name}.svg", metadata={"Date": None})


def two_stages(passages: int) -> None:
    """From all passages to those that are shown."""
    figure, axes = panel(8, 2.4)
    axes.axis("off")
    axes.set(xlim=(0, 10), ylim=(0, 3))
    steps = [
        ("all passages", f"{passages} here", GREY, 2.6),
        ("candidates", "20", ORANGE, 1.6),
        ("hits", "3", BLUE, 0.8),
    ]
    for (name, count, colour, height), x in zip(steps, (0.2, 4.2, 8.2), strict=True):
        axes.add_patch(matplotlib.patches.Rectangle((x, 1.5 - height / 2), 1.6, height, color=colour))
        axes.text(x + 0.8, 1.5, f"{name}\n{count}", ha="center", va="center", color="white", fontsize=9)
    arrows = [
        (1.9, "First stage", "words and vectors,\nprepared beforehand"),
        (5.9, "Cross-encoder", "reads the question\nwith each candidate"),
    ]
    for x, name, how in arrows:
        axes.annotate("", (x + 2.2, 1.5), (x, 1.5), arrowprops={"arrowstyle": "->", "color": INK})
        axes.text(x + 1.05, 1.65, name, ha="center", va="bottom", weight="bold")
        axes.text(x + 1.05, 1.35, how, ha="center", va="top", fontsize=9)
    save(figure, "two-stages")


def hybrid(searcher: Searcher) -> None:
    """Ranks by words, by vectors and fused."""
    figure, axes = panel(7, 3.4)
    found = searcher.retriever.retrieve(QUESTION, 5)
    colours = [BLUE, ORANGE, GREEN, GREY, "#CC79A7"]
    lowest = 1
    for candidate, colour in zip(found, colours, strict=True):
        ranks = [candidate.stage_ranks.get(stage) for stage in ("lexical", "dense")] + [candidate.rank]
        lowest = max(lowest, *(rank for rank in ranks if rank))
        places = [(x, rank) for x, rank in enumerate(ranks) if rank]
        axes.plot(*zip(*places, strict=True), "o-", color=colour, markersize=9)
        name = candidate.document.id.replace(".txt", "").rpartition("/")[2]
        axes.annotate(name, (2, candidate.rank), (12, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_xticks([0, 1, 2], ["by words", "by vectors", "fused"])
    axes.set(xlim=(-0.2, 3), ylim=(lowest + 0.7, 0.3), ylabel="rank")
    save(figure, "hybrid")


def scores(searcher: Searcher) -> None:
    """Logits on the sigmoid."""
    figure, axes = panel(7, 3.4)
    line = np.linspace(-6, 6, 200)
    axes.plot(line, 1 / (1 + np.exp(-line)), color=GREY)
    passages = [
        "Bakers bake bread.",
        "Bread is baked at night.",
        "Bread is sold in the morning.",
        "A tide table.",
    ]
    for hit in searcher.reranker.rank("Who bakes bread?", passages):
        assert hit.logit is not None
        assert hit.score is not None
        axes.plot(hit.logit, hit.score, "o", color=BLUE, markersize=8)
        place, text = (hit.logit, hit.score), f"{hit.text} {hit.score:.2f}"
        axes.annotate(text, place, (10, -4), textcoords="offset points", fontsize=9)
    axes.set(xlim=(-6, 8), ylim=(-0.03, 1.05), xlabel="logit", ylabel="score", title="Who bakes bread?")
    save(figure, "scores")


def evidence(searcher: Searcher) -> None:
    """What each part adds to the sum of a hit."""
    figure, axes = panel(8, 2.8)
    ranking = searcher.search(QUESTION, top_n=3)
    names = {"logit": BLUE, "similarity": ORANGE, "word_match": GREEN, "constant": GREY}
    for place, hit in enumerate(ranking):
        right, left = 0.0, 0.0
        for name, colour in names.items():
            value = hit.contributions[name]
            start, right, left = (right, right + value, left) if value > 0 else (left, right, left + value)
            label = None if place else name.replace("_", " ")
            axes.barh(place, value, left=start, color=colour, label=label)
        text = f"sum {hit.combined_logit:+.2f}, score {hit.score:.2f}"
        axes.text(6.2, place, text, va="center", fontsize=9)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(ranking)), [f"hit {hit.rank}" for hit in ranking])
    axes.invert_yaxis()
    axes.set(xlim=(-6, 9.5), title=QUESTION)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    save(figure, "evidence")


def calibration(collection, searcher: Searcher) -> None:  # type: ignore[no-untyped-def]
    """How many relevant and other passages are at or above each score."""
    figure, axes = panel(7, 3.4)
    relevant, others = [], []
    for query, text in collection.queries.items():
        for hit in searcher.search(text, candidates=20, top_n=None):
            grade = collection.qrels[query].get(hit.document.id, 0)
            (relevant if grade > 0 else others).append(hit.score)
    line = np.linspace(0, 1, 101)
    groups = (relevant, BLUE, "relevant"), (others, ORANGE, "not relevant, or not judged")
    for values, colour, name in groups:
        shares = [(np.array(values) >= threshold).mean() for threshold in line]
        axes.plot(line, shares, color=colour, label=f"{name} ({len(values)} passages)")
    axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(xlabel="threshold", ylabel="share at or above it", ylim=(0, 1.02), xlim=(0, 1))
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(f"20 candidates of each of the {len(collection.queries)} sample questions", fontsize=11)
    save(figure, "calibration")


def precision() -> None:
    """Pairs a second of the bundled model's size, by arithmetic, from the tables of docs/engines."""
    figure, axes = panel(8, 3)
    sides = ['crossrank, precision="float32"', 'crossrank, precision="bfloat16"', "crossrank, int8"]
    labels = ["float32", "bfloat16", "int8 weights, fastest arithmetic"]
    place, ticks = 0, []
    for name, title in (("amx", "Intel with AMX"), ("amd-avx512-vnni", "AMD, AVX-512 VNNI, BF16")):
        results = json.loads((DOCS / "engines" / f"{name}.json").read_text())["models"]["MiniLM-L6"]
        for side, label, colour in zip(sides, labels, (GREY, ORANGE, BLUE), strict=True):
            found = speed(results, side)
            if found is None:
                continue
            axes.barh(place, found, color=colour)
            axes.text(found + 2, place, f"{found:.0f} pairs a second", va="center", fontsize=9)
            ticks.append((place, f"{title}: {label}"))
            place += 1
        place += 0.5
    axes.set_yticks([tick for tick, _ in ticks], [label for _, label in ticks], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 340)
    axes.set_title("100 passages of mixed lengths, the bundled reranker, two cores", fontsize=11)
    save(figure, "precision")


def speed(results: dict, side: str) -> float | None:  # type: ignore[type-arg]
    """Pairs a second on 100 mixed passages: the median over rounds."""
    (case,) = (case for case in results["cases"] if case["name"] == "100-mixed")
    measured = case["sides"].get(side)
    return measured and case["count"] / float(np.median(measured["seconds"]))


if __name__ == "__main__":
    main()
