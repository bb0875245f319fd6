"""Lists to learn from: passages from right to far off, and what the first stages know of each.

    python recipes/bundled/candidates.py DATA LISTS [--passages N] [--kept-out]

Writes LISTS/NAME.json.gz for each field and goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
from fields import KEPT_OUT, SEED, Field, Question, load_fields
from numpy.typing import NDArray
from words import WordScores

from crossrank.inference.bi_encoder import BiEncoder

DEPTH, AT_ONCE = 200, 512
# Of a question to learn from; the first 24 places of the hybrid are dense in what is hard.
RIGHT, NEAR, FAR, ELSEWHERE = 3, 20, 6, 2
JUDGED_DEPTH, JUDGED_QUESTIONS = 50, 100


def main() -> None:
    """Write the lists of every field."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("lists", type=Path)
    parser.add_argument("--passages", type=int, help="at most this many of each unjudged field")
    parser.add_argument("--kept-out", action="store_true", help="only the fields that nothing is learnt from")
    arguments = parser.parse_args()
    arguments.lists.mkdir(parents=True, exist_ok=True)
    embedder = BiEncoder("all-MiniLM-L6-v2")
    for field in load_fields(arguments.data, passages=arguments.passages):
        if arguments.kept_out and field.name not in KEPT_OUT:
            continue
        file = arguments.lists / f"{field.name}.json.gz"
        if file.is_file():
            continue
        started = time.monotonic()
        content = find_lists(field, embedder)
        partial = file.with_suffix(".partial")
        with gzip.open(partial, "wt", encoding="utf-8", compresslevel=3) as stream:
            json.dump(content, stream)
        partial.replace(file)
        print(
            f"{field.name}: {len(field.passages)} passages, {len(content['lists'])} lists, "
            f"{time.monotonic() - started:.0f} s", flush=True,
        )  # fmt: skip


def find_lists(field: Field, embedder: BiEncoder) -> dict[str, Any]:
    """Passages of a field, and lists of places in them with similarity and word match of each."""
    chance = random.Random(f"{SEED} {field.name}")
    questions = list(field.questions)
    kept_out = field.name in KEPT_OUT
    if kept_out:
        chance.shuffle(questions)
        questions = questions[:JUDGED_QUESTIONS]
    words = WordScores(field.passages)
    vectors = embedder.encode_documents(list(field.passages))
    lists = []
    for start in range(0, len(questions), AT_ONCE):
        part = questions[start : start + AT_ONCE]
        texts = [question.text for question in part]
        similarities, matches = embedder.encode_queries(texts) @ vectors.T, words.scores(texts)
        for question, near, lexical in zip(part, similarities, matches, strict=True):
            lists.append(_list(question, near, lexical, kept_out, chance))
    return {"passages": field.passages, "lists": lists}


def _list(
    question: Question,
    near: NDArray[np.float32],
    lexical: NDArray[np.float32],
    kept_out: bool,
    chance: random.Random,
) -> dict[str, Any]:
    fused = _fused([[place for place in _best(lexical) if lexical[place] > 0], _best(near)])
    chosen = fused[:JUDGED_DEPTH] if kept_out else _chosen(question, fused, len(near), chance)
    best = float(lexical.max()) or 1.0
    return {
        "query": question.text,
        "judged": question.judged,
        "candidates": chosen,
        "similarity": [round(float(near[place]), 4) for place in chosen],
        "word_match": [round(float(lexical[place]) / best, 4) for place in chosen],
        "relevant": [place for place in question.relevant if kept_out or place in chosen],
    }


def _best(scores: NDArray[np.float32]) -> list[int]:
    found = np.argpartition(-scores, min(DEPTH, len(scores) - 1))[:DEPTH]
    return found[np.argsort(-scores[found], kind="stable")].tolist()


def _fused(rankings: list[list[int]]) -> list[int]:
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, start=1):
            scores[place] = scores.get(place, 0.0) + 1 / (60 + rank)
    return sorted(scores, key=lambda place: (-scores[place], place))


def _chosen(question: Question, fused: list[int], passages: int, chance: random.Random) -> list[int]:
    """Right passages first, then what people said is wrong, then what first stages find."""
    right = list(question.relevant)
    chance.shuffle(right)
    others = [place for place in fused if place not in question.relevant]
    near = chance.sample(others[:30], min(NEAR, len(others[:30])))
    far = chance.sample(others[30:], min(FAR, len(others[30:])))
    elsewhere = [
        place
        for place in (chance.randrange(passages) for _ in range(ELSEWHERE))
        if place not in question.relevant
    ]
    wrong = list(question.irrelevant[:4])
    return list(dict.fromkeys([*right[:RIGHT], *wrong, *near, *far, *elsewhere]))


if __name__ == "__main__":
    main()
