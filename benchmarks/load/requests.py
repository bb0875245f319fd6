"""The requests of the benchmark: a query and its passages, made from the sample texts by a fixed seed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import crossrank

_SAMPLES = Path(crossrank.__file__).parent / "samples"
# About 25 to 170 tokens, as passages of 500 characters and their last pieces have.
_WORDS = (20, 130)


@dataclass(frozen=True)
class Request:
    """A query and its passages."""

    query: str
    passages: list[str]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(query, passage) for each passage."""
        return [(self.query, passage) for passage in self.passages]

    def body(self) -> bytes:
        """A body that crossrank and infinity both read."""
        return json.dumps({"query": self.query, "documents": self.passages, "model": "model"}).encode()


def make_requests(count: int, passages: int) -> list[Request]:
    """Different requests, the same at every call: no pair occurs twice, so none is scored for two of them."""
    draw = random.Random(24)
    texts = sorted((_SAMPLES / "texts").glob("*.txt"))
    words = " ".join(file.read_text(encoding="utf-8") for file in texts).split()
    lines = (_SAMPLES / "judged" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [json.loads(line)["text"] for line in lines]
    return [
        Request(f"{draw.choice(queries)} ({number})", [_passage(draw, words) for _ in range(passages)])
        for number in range(count)
    ]


def _passage(draw: random.Random, words: list[str]) -> str:
    start, length = draw.randrange(len(words) - _WORDS[1]), draw.randint(*_WORDS)
    return " ".join(words[start : start + length])
