"""Compare the bundled cross-encoder with other models: the numbers of docs/model-figures.md.

    python recipes/bundled/figures.py EVAL_FOLDER --model NAME=FOLDER [--model NAME=FOLDER ...]
        [--float32 NAME]

EVAL_FOLDER holds judged collections in BEIR layout that no model was trained on. Every model scores the union
of what the first stages find (BM25, the bi-encoder, both fused: 100 each; and the runs that a collection has
in runs/), so that all are measured on the same candidates. Where a collection judges a pool for each
question (mediqa2019_qa), the pool is ranked. A model with an interpolation of its own has more columns, in
which the bi-encoder's similarity, the word match (BM25) or both are part of the score; and "no model" sums
these two as the training's teacher does, which shows what is the model's own part.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.evaluation import Collection, evaluate_run, load_collection, load_qrels, read_run
from crossrank.evaluation.experiment import own_documents, retrieve_candidates, run_of
from crossrank.evaluation.measures import Evaluation
from crossrank.evaluation.runs import untied
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.engines import Progress
from crossrank.retrieval.base import Retrieval
from crossrank.retrieval.bm25 import BM25Index, word_matches
from crossrank.retrieval.memory import MemoryRetriever
from crossrank.training.settings import read_settings

# Not English, the only language of these models.
LEFT_OUT = {"xquad_de", "xquad_zh", "cnil_faq_fr"}
POOLED = {"mediqa2019_qa"}
NO_MODEL = "similarity and words, no model"
MEASURES = ("nDCG@10", "MRR@10")
RESAMPLES = 2000

Run = dict[str, dict[str, float]]


def main() -> None:
    """Score, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", required=True, help="NAME=FOLDER")
    parser.add_argument(
        "--float32", action="append", default=[], metavar="NAME",
        help="compute this model in float32, the others in the fastest arithmetic that ranks alike",
    )  # fmt: skip
    parser.add_argument(
        "--queries", type=int, default=150, help="maximum per collection, drawn with a fixed seed"
    )
    parser.add_argument("--only", action="append", help="one collection; by default all")
    parser.add_argument("--output", type=Path, default=Path("docs/model-figures"))
    arguments = parser.parse_args()
    models = {
        name: CrossEncoder(folder, precision="float32" if name in arguments.float32 else "auto")
        for name, folder in (text.split("=", 1) for text in arguments.model)
    }
    embedder = _EmbedsOnce()
    seconds, scored = dict.fromkeys(models, 0.0), 0
    per_query: dict[str, dict[str, dict[str, list[dict[str, float]]]]] = {}
    for folder in sorted(arguments.folder.iterdir()):
        if (
            not folder.is_dir()
            or folder.name in LEFT_OUT
            or (arguments.only and folder.name not in arguments.only)
        ):
            continue
        collection = _sample(load_collection(folder), arguments.queries)
        if (official := folder / "qrels.dl19-passage.txt").is_file():
            judged = load_qrels(official)
            collection = replace(collection, qrels={query: judged[query] for query in collection.queries})
        cosines = _cosines(collection, embedder)
        stages = _stages(folder, collection, embedder, cosines)
        union = {
            query: sorted({name for run in stages.values() for name in run.get(query, ())})
            for query in collection.queries
        }
        texts = {document.id: document.content for document in collection.documents}
        matches = _word_matches(collection, union)
        pairs = [(collection.queries[query], texts[name]) for query, names in union.items() for name in names]
        scored += len(pairs)
        logits = {NO_MODEL: _teacher(union, cosines, matches)}
        for name, model in models.items():
            started = time.perf_counter()
            values = iter(model.logits(pairs)[0].tolist())
            seconds[name] += time.perf_counter() - started
            logits[name] = {
                query: {document: next(values) for document in names} for query, names in union.items()
            }
            for weights in model.interpolation.weights if model.interpolation else ():
                logits[f"{name}, {weights.name}"] = {
                    query: {
                        document: weights.combine(
                            value,
                            {SIMILARITY: cosines[query][document], WORD_MATCH: matches[query][document]},
                        )
                        for document, value in row.items()
                    }
                    for query, row in logits[name].items()
                }
        for stage, run in stages.items():
            rankings = {"before": run} | {
                name: untied({query: {d: rows[query][d] for d in found} for query, found in run.items()})
                for name, rows in logits.items()
            }
            per_query.setdefault(collection.name, {})[stage] = {
                name: _values(evaluate_run(ranking, collection.qrels)) for name, ranking in rankings.items()
            }
        print(collection.name, len(collection.queries), "queries", len(pairs), "pairs", flush=True)
        speed = {name: scored / value for name, value in seconds.items()}
        _write(
            arguments.output,
            per_query,
            {"pairs": scored, "pairs_per_second": speed},
        )


class _EmbedsOnce(BiEncoder):
    """Keeps the vectors of the last collection, for which three first stages ask."""

    _last: tuple[list[str], NDArray[np.float32]] | None = None

    def encode_documents(
        self, documents: Sequence[str], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        if self._last is None or self._last[0] != list(documents):
            self._last = list(documents), super().encode_documents(documents, progress=progress)
        return self._last[1]


def _sample(collection: Collection, number: int) -> Collection:
    # Neighbours in the file often ask about the same text, so the first ones would cover few texts.
    names = list(collection.queries)
    chosen = set(random.Random(7).sample(names, min(number, len(names))))
    queries = {name: text for name, text in collection.queries.items() if name in chosen}
    return replace(collection, queries=queries, qrels={query: collection.qrels[query] for query in queries})


def _cosines(collection: Collection, embedder: BiEncoder) -> Run:
    documents = embedder.encode_documents([document.content for document in collection.documents])
    queries = embedder.encode_queries(list(collection.queries.values()))
    names = [document.id for document in collection.documents]
    return {
        query: dict(zip(names, row.tolist(), strict=True))
        for query, row in zip(collection.queries, queries @ documents.T, strict=True)
    }


def _word_matches(collection: Collection, union: Mapping[str, Sequence[str]]) -> Run:
    """Shares of the best document's BM25, without the documents that are queries themselves."""
    words = BM25Index([document.content for document in collection.documents])
    places = {document.id: place for place, document in enumerate(collection.documents)}
    own = own_documents(collection)
    matches: Run = {}
    for query, names in union.items():
        text = collection.queries[query]
        scores = dict(words.search(text, 2)) | words.scores(text, [places[name] for name in names])
        scores.pop(own.get(query, -1), None)
        shares = word_matches(scores)
        matches[query] = {name: shares.get(places[name], 0.0) for name in names}
    return matches


def _teacher(union: Mapping[str, Sequence[str]], cosines: Run, matches: Run) -> Run:
    recipe = read_settings(Path(__file__).with_name("train-joint.toml"))
    near, words = recipe.teacher_scale, recipe.word_scale
    return {
        query: {name: near * cosines[query][name] + words * matches[query][name] for name in names}
        for query, names in union.items()
    }


def _stages(folder: Path, collection: Collection, embedder: BiEncoder, cosines: Run) -> dict[str, Run]:
    if collection.name in POOLED:
        pools = {
            query: [name for name in grades if name in cosines[query]]
            for query, grades in collection.qrels.items()
        }
        return {
            "bi-encoder, pool": {
                query: {name: cosines[query][name] for name in pool} for query, pool in pools.items()
            }
        }
    names: dict[str, Retrieval] = {"BM25": "lexical", "bi-encoder": "dense", "hybrid": "hybrid"}
    stages: dict[str, Run] = {}
    for name, retrieval in names.items():
        retriever = MemoryRetriever(collection.documents, retrieval=retrieval, embedder=embedder)
        stages[name] = run_of(retrieve_candidates(collection, retriever))
    for file in sorted((folder / "runs").glob("*.tsv")):
        given = {query: row for query, row in read_run(file).items() if query in collection.queries}
        stages[f"{file.stem}.tsv"] = {
            query: dict(sorted(row.items(), key=lambda item: -item[1])[:100]) for query, row in given.items()
        }
    return stages


def _values(evaluation: Evaluation) -> list[dict[str, float]]:
    return [{m: round(values[m], 6) for m in MEASURES} for values in evaluation.per_query.values()]


def _write(
    output: Path,
    per_query: Mapping[str, Mapping[str, Mapping[str, list[dict[str, float]]]]],
    about: Mapping[str, object],
) -> None:
    summary: dict[str, object] = dict(about)
    text = "Made by recipes/bundled/figures.py; higher is better.\n"
    for measure in MEASURES:
        names = list(next(iter(next(iter(per_query.values())).values())))
        text += f"\n## {measure}\n\n| collection | queries | first stage | {' | '.join(names)} |\n"
        text += "|---|---|---|" + "---|" * len(names) + "\n"
        rows: dict[str, dict[str, dict[str, float]]] = {}
        for collection, stages in per_query.items():
            for stage, rankings in stages.items():
                means = {name: fmean(v[measure] for v in values) for name, values in rankings.items()}
                rows.setdefault(collection, {})[stage] = means
                text += f"| {collection} | {len(rankings['before'])} | {stage} | "
                text += " | ".join(f"{means[name]:.4f}" for name in names) + " |\n"
        summary[measure] = rows
        text += (
            "\nGain over the first stage, the mean of the collections' means, with 95% bootstrap intervals "
        )
        text += "(questions resampled within each of these collections):\n\n| first stage | "
        text += " | ".join(names[1:]) + " |\n|---|" + "---|" * (len(names) - 1) + "\n"
        gains: dict[str, dict[str, list[float]]] = {}
        for stage in ("BM25", "bi-encoder", "hybrid"):
            gains[stage] = {name: _gain(per_query, stage, name, measure) for name in names[1:]}
            cells = (f"{mean:+.4f} ({low:+.4f} to {high:+.4f})" for mean, low, high in gains[stage].values())
            text += f"| {stage} | {' | '.join(cells)} |\n"
        summary[f"{measure} gain"] = gains
    output.with_suffix(".md").write_text(
        "# Figures of the bundled cross-encoder\n\n" + text, encoding="utf-8"
    )
    output.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _gain(
    per_query: Mapping[str, Mapping[str, Mapping[str, list[dict[str, float]]]]],
    stage: str,
    name: str,
    measure: str,
) -> list[float]:
    """Mean over collections of the mean gain, and its interval."""
    chance = np.random.default_rng(7)
    means, resampled = [], []
    for stages in per_query.values():
        if stage in stages:
            before, after = stages[stage]["before"], stages[stage][name]
            gains = np.array([b[measure] - a[measure] for a, b in zip(before, after, strict=True)])
            means.append(gains.mean())
            resampled.append(gains[chance.integers(len(gains), size=(RESAMPLES, len(gains)))].mean(axis=1))
    if not means:
        return [0.0, 0.0, 0.0]
    low, high = np.quantile(np.mean(resampled, axis=0), [0.025, 0.975])
    return [float(np.mean(means)), float(low), float(high)]


if __name__ == "__main__":
    main()
