"""Quality against speed, from docs/model-speed.json: the picture of docs/models.md.

    python recipes/bundled/plot.py docs/model-speed.json docs/images/models.svg

Quality is nDCG@10 on TREC DL 2019 with the official judgements, over what hybrid search finds. Speed is
relative to a MiniLM of six layers in float32: ours as measured with the figures, the others' as their
publishers measured them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure

# sbert.net's table of MS MARCO cross-encoders: nDCG@10 on TREC DL 2019, documents a second on a V100.
PUBLISHED = {
    "ms-marco-TinyBERT-L2-v2": (0.6984, 9000),
    "ms-marco-MiniLM-L2-v2": (0.7101, 4100),
    "ms-marco-MiniLM-L4-v2": (0.7304, 2500),
    "ms-marco-MiniLM-L6-v2": (0.7430, 1800),
    "ms-marco-MiniLM-L12-v2": (0.7431, 960),
}
OURS, THEIRS, INK = "#0072B2", "#999999", "#333333"


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--collection", default="trecdl19")
    parser.add_argument("--stage", default="hybrid", help="the first stage that is reranked")
    parser.add_argument("--reference", default="ours, float32", help="the model of speed 1")
    arguments = parser.parse_args()
    figures = json.loads(arguments.figures.read_text())
    stages = figures["nDCG@10"][arguments.collection]
    means, speeds = stages[arguments.stage], figures["pairs_per_second"]
    figure = Figure(figsize=(9, 5.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    for name, (quality, speed) in PUBLISHED.items():
        axes.plot(speed / 1800, quality, "o", mfc="none", color=THEIRS)
        axes.annotate(
            name, (speed / 1800, quality), (6, 6), textcoords="offset points", color=THEIRS, fontsize=8
        )
    for name, value in means.items():
        model, _, added = name.partition(", with ")
        if model not in speeds or added not in ("", "similarity and words"):
            continue
        speed = speeds[model] / speeds[arguments.reference]
        axes.plot(speed, value, "^" if name != model else "o", color=OURS)
        label = name.replace(", with ", "\nwith ")  # so that neighbours have room
        axes.annotate(label, (speed, value), (6, 6), textcoords="offset points", color=OURS, fontsize=8)
    for label in ("BM25", "bi-encoder"):
        value = stages[label]["before"]
        axes.axhline(value, color=INK, linewidth=0.8, linestyle=":")
        axes.annotate(f"{label} alone", (0.01, value), (0, 4), xycoords=("axes fraction", "data"),
                      textcoords="offset points", color=INK, fontsize=8)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.set_xlim(0.45, 10)
    axes.set_xlabel("pairs a second, relative to a 6-layer MiniLM in float32")
    axes.set_ylabel("nDCG@10, TREC DL 2019")
    axes.set_title(
        "Quality against speed: blue measured here over the best 100 of hybrid search;\n"
        "grey as published (sbert.net), trained on MS MARCO, other candidates and a GPU",
        loc="left",
        fontsize=10,
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(arguments.output, metadata={"Date": None} if arguments.output.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
