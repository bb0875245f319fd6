"""How a model ranks on the collections and fields that nothing is learnt from.

    python recipes/bundled/judge.py LISTS MODEL [MODEL ...] [--questions N]

Prints nDCG@10 over the hybrid's best 50 for each field: the hybrid itself, similarity and words without
a model, each model's logit alone, and the three together (with the model's own weights; before it has any,
with half and all of the evidence). Then come the mean gains over the hybrid, and over similarity and words
without a model, with 95% intervals (2,000 bootstrap samples of the questions of each field). Logits are kept
in LISTS, so that a model is run once.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from fields import KEPT_OUT
from student import EVIDENCE

from crossrank.documents import SIMILARITY, WORD_MATCH
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.inference.interpolation import EvidenceWeights

RESAMPLES = 2000


def main() -> None:
    """Rank, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lists", type=Path)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    files = {name: arguments.lists / f"{name}.json.gz" for name in sorted(KEPT_OUT)}
    fields = {name: _read(file, arguments.questions) for name, file in files.items() if file.is_file()}
    if not fields:
        parser.error(f"{arguments.lists} has none of the fields that are kept out")
    values: dict[str, dict[str, list[float]]] = {}
    for name, (_, lists) in fields.items():
        table = values.setdefault(name, {})
        evidence = [_evidence(item) for item in lists]
        table["hybrid"] = [_ndcg(item, -np.arange(len(item["candidates"]))) for item in lists]
        table["no model"] = [_ndcg(item, own) for item, own in zip(lists, evidence, strict=True)]
    for model in arguments.models:
        encoder = CrossEncoder(model)
        logits = _logits(encoder, fields, arguments.lists)
        short = Path(model).parent.name if Path(model).name == "model" else Path(model).name
        both = {SIMILARITY, WORD_MATCH}
        own_weights = encoder.interpolation.weights if encoder.interpolation else ()
        full = [weights for weights in own_weights if set(weights.evidence) == both]
        for name, (_, lists) in fields.items():
            table = values[name]
            table[short] = [_ndcg(item, own) for item, own in zip(lists, logits[name], strict=True)]
            for weights in full:
                table[f"{short}, as a search ranks"] = [
                    _ndcg(item, _combined(weights, item, own))
                    for item, own in zip(lists, logits[name], strict=True)
                ]
            for weight in () if full else (0.5, 1.0):
                table[f"{short} + {weight:g}"] = [
                    _ndcg(item, np.array(own) + weight * _evidence(item))
                    for item, own in zip(lists, logits[name], strict=True)
                ]
    _print(values)
    if arguments.json:
        arguments.json.write_text(json.dumps(values))


def _read(file: Path, questions: int) -> tuple[list[str], list[dict[str, Any]]]:
    content = json.loads(gzip.decompress(file.read_bytes()))
    return content["passages"], content["lists"][:questions]


def _evidence(item: dict[str, Any]) -> Any:
    return EVIDENCE[0] * np.array(item["similarity"]) + EVIDENCE[1] * np.array(item["word_match"])


def _combined(weights: EvidenceWeights, item: dict[str, Any], logits: list[float]) -> Any:
    known = zip(item["similarity"], item["word_match"], strict=True)
    evidence = [{SIMILARITY: near, WORD_MATCH: words} for near, words in known]
    return np.array([weights.combine(*one) for one in zip(logits, evidence, strict=True)])


def _logits(model: CrossEncoder, fields: dict[str, Any], folder: Path) -> dict[str, list[list[float]]]:
    pairs = [
        (item["query"], passages[place])
        for passages, lists in fields.values()
        for item in lists
        for place in item["candidates"]
    ]
    key = hashlib.sha256(json.dumps([model.fingerprint, pairs]).encode()).hexdigest()[:12]
    file = folder / f"logits-{key}.json"
    if not file.is_file():
        file.write_text(json.dumps(model.logits(pairs)[0].tolist()))
    found = iter(json.loads(file.read_text()))
    return {
        name: [[next(found) for _ in item["candidates"]] for item in lists]
        for name, (_, lists) in fields.items()
    }


def _ndcg(item: dict[str, Any], scores: Any) -> float:
    relevant = set(item["relevant"])
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")[:10]
    gain = sum(
        1 / math.log2(rank + 2) for rank, place in enumerate(order) if item["candidates"][place] in relevant
    )
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(10, len(relevant))))


def _print(values: dict[str, dict[str, list[float]]]) -> None:
    columns = list(next(iter(values.values())))
    print(f"{'':24s}", *(f"{column[:14]:>14s}" for column in columns))
    for name, table in values.items():
        print(f"{name:24s}", *(f"{np.mean(table[column]):14.3f}" for column in columns))
    chance = np.random.default_rng(7)
    draws = {
        name: chance.integers(0, len(t["hybrid"]), (RESAMPLES, len(t["hybrid"])))
        for name, t in values.items()
    }
    for base in ("hybrid", "no model"):
        print(f"gain over {base}")
        for column in columns:
            gains = {name: np.array(t[column]) - np.array(t[base]) for name, t in values.items()}
            mean = np.mean([gain.mean() for gain in gains.values()])
            drawn = np.mean([gain[draws[name]].mean(axis=1) for name, gain in gains.items()], axis=0)
            low, high = np.percentile(drawn, [2.5, 97.5])
            print(f"{column:40s} {mean:+.4f} ({low:+.4f} to {high:+.4f})")


if __name__ == "__main__":
    main()
