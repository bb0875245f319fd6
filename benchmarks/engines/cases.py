"""The cases: passages of a given number and length, made from the sample texts."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from crossrank.evaluation import Collection, load_collection
from crossrank.families.model import open_model
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.retrieval.bm25 import BM25Index

SAMPLES = Path(__file__).parents[2] / "src" / "crossrank" / "samples"
MINILM, XLM_R = "MiniLM-L6", "XLM-R-base"
# Shapes with random weights: of the Ettin rerankers, gte-reranker-modernbert-base and mxbai-rerank-xsmall-v1.
ETTIN, ETTIN_32M, GTE, MXBAI = "ettin-17m", "ettin-32m", "gte-modernbert-base", "mxbai-xsmall-v1"
LONGEST, VERY_LONG = 512, 2000
# The best 20 of the first stage are what a person reranks; 50 queries keep --eval bearable.
_JUDGED_CANDIDATES, _JUDGED_QUERIES = 20, 50


@dataclass(frozen=True)
class Case:
    """What is scored in one call.

    Attributes:
        model: Which one.
        count: Passages.
        kind: Of their lengths: ``short`` (30 to 60 tokens), ``mixed`` (16 to 512, 168 on average), ``long``
            (512 alone, so that every pair is cut to what the model reads) or ``very-long`` (2,000).
        seconds: For all sides' calls together; at least one round is made, whatever it takes.
    """

    model: str
    count: int
    kind: str
    seconds: float

    @property
    def name(self) -> str:
        """As ``--cases`` and the tables have it."""
        return (
            f"{self.count}-{self.kind}" if self.model == MINILM else f"{self.model}-{self.count}-{self.kind}"
        )

    @property
    def is_large(self) -> bool:
        """Whether only the sides that are meant for large cases take part."""
        return self.model != MINILM or self.count == 1000 or (self.count == 100 and self.kind != "short")


CASES = (
    Case(MINILM, 20, "short", 10),
    Case(MINILM, 20, "mixed", 20),
    Case(MINILM, 100, "short", 25),
    Case(MINILM, 20, "long", 30),
    Case(MINILM, 100, "mixed", 80),
    Case(MINILM, 1000, "short", 40),
    Case(MINILM, 100, "long", 70),
    Case(MINILM, 1000, "mixed", 60),
    Case(MINILM, 1000, "long", 60),
    Case(XLM_R, 100, "mixed", 90),
    Case(ETTIN, 100, "mixed", 60),
    Case(ETTIN, 20, "very-long", 60),
    Case(ETTIN_32M, 100, "mixed", 60),
    Case(ETTIN_32M, 20, "very-long", 60),
    Case(GTE, 100, "mixed", 90),
    Case(GTE, 20, "very-long", 90),
    Case(MXBAI, 100, "mixed", 60),
    Case(MXBAI, 20, "long", 30),
)


def chosen_cases(names: Sequence[str] | None) -> tuple[Case, ...]:
    """The cases of these names, or all.

    Raises:
        ValueError: There is no such case.
    """
    known = {case.name: case for case in CASES}
    if strange := [name for name in names or () if name not in known]:
        raise ValueError(f"there is no case {strange[0]}; there are {', '.join(known)}")
    return tuple(case for case in CASES if not names or case.name in names)


def write_lists(case: Case, file: Path) -> float:
    """Write a case's passages with every sample question, and return the passages' mean length in tokens.

    A call takes one question, the next call another, so that nothing is gained by remembering scores.
    """
    passages, lengths = make_passages(case.count, case.kind)
    everything = list(range(case.count))
    lists = [[question, everything] for question in load_collection(SAMPLES / "judged").queries.values()]
    _write(file, passages, lists)
    return sum(lengths) / len(lengths)


def write_judged(collection: Collection, file: Path) -> list[tuple[str, list[str]]]:
    """Write BM25's best 20 for a collection's first 50 questions; return the ids of both."""
    texts = [document.content for document in collection.documents]
    index = BM25Index(texts)
    lists, ids = [], []
    for query, question in list(collection.queries.items())[:_JUDGED_QUERIES]:
        found = [place for place, _ in index.search(question, _JUDGED_CANDIDATES)]
        if found:
            lists.append([question, found])
            ids.append((query, [collection.documents[position].id for position in found]))
    _write(file, texts, lists)
    return ids


def make_passages(count: int, kind: str) -> tuple[list[str], list[int]]:
    """Different passages of shuffled sentences, the same at every call, and their lengths in tokens."""
    draw = random.Random(f"{count} {kind}")
    words = _token_counts()
    passages: dict[str, int] = {}
    while len(passages) < count:
        text, length = _passage(draw, words, _wanted(draw, kind))
        passages[text] = length
    return list(passages), list(passages.values())


def _wanted(draw: random.Random, kind: str) -> int:
    if kind == "long":
        return LONGEST
    if kind == "very-long":
        return VERY_LONG
    if kind == "short":
        return draw.randint(30, 60)
    # Many of a paragraph's length and few long ones, as collections have them.
    return min(max(round(draw.lognormvariate(4.95, 0.65)), 16), LONGEST)


def _passage(draw: random.Random, sentences: list[list[tuple[str, int]]], wanted: int) -> tuple[str, int]:
    """Words of random sentences, up to the wanted number of tokens."""
    taken: list[str] = []
    length = 0
    for sentence in draw.sample(sentences, len(sentences)):
        for word, tokens in sentence:
            if length + tokens > wanted:
                return " ".join(taken), length
            taken.append(word)
            length += tokens
    return " ".join(taken), length


def _token_counts() -> list[list[tuple[str, int]]]:
    """Every sentence of the sample texts as its words, with how many tokens each is."""
    tokenizer = Tokenizer.from_file(str(open_model(DEFAULT_CROSS_ENCODER).path / "tokenizer.json"))
    return [
        [(word, len(tokenizer.encode(word, add_special_tokens=False).ids)) for word in sentence.split()]
        for sentence in sample_sentences()
    ]


def sample_sentences() -> Iterator[str]:
    """The sentences of the sample texts, without titles."""
    for file in sorted((SAMPLES / "texts").glob("*.txt")):
        for paragraph in file.read_text(encoding="utf-8").split("\n\n")[1:]:
            yield from re.split(r"(?<=[.?!]) ", " ".join(paragraph.split()))


def _write(file: Path, passages: list[str], lists: Sequence[Sequence[object]]) -> None:
    file.write_text(json.dumps({"passages": passages, "lists": lists}), encoding="utf-8")
