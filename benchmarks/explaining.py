"""How often the sentence that crossrank marks holds the answer, and what marking costs.

    python -m benchmarks.explaining squad FILE [--only QUERIES] [--questions 500]
    python -m benchmarks.explaining clapnq FILE [--questions 500]

FILE is SQuAD's (dev-v1.1.json, with the character offsets of answers) or ClapNQ's
(clapnq_dev_answerable.jsonl, with the sentences that an answer was written from). QUERIES is a file of
BEIR's queries.jsonl: only questions with these ids are asked. Each question's own passage is explained.
Beside the sentence that is marked stand those with the most words of the question (the first of equals),
with the highest BM25, and the first of the passage.

A sentence is right if it holds one of the answers whole (SQuAD), or if most of it is of a sentence that was
selected (ClapNQ). The cost is that of explaining, with sentences and words, as a multiple of scoring the
sentences alone: in tokens, and in time.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossrank.documents import Document
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.ranking.reranker import Reranker
from crossrank.retrieval.memory import MemoryRetriever
from crossrank.text.sentences import sentences

Range = tuple[int, int]
_AT_ONCE = 20


@dataclass
class Question:
    """A question, its passage, and where the answers are in it."""

    text: str
    passage: Document
    answers: list[Range]
    is_right: Callable[[Range, Range], bool]

    def right(self, sentence: Range) -> bool:
        """Whether a sentence holds an answer."""
        return any(self.is_right(sentence, answer) for answer in self.answers)


class Metered(CrossEncoder):
    """The bundled model; it keeps the tokens and seconds of each call."""

    calls: list[tuple[int, float]]

    def logits(self, pairs: Any, **options: Any) -> Any:
        """See :meth:`CrossEncoder.logits`."""
        started = time.perf_counter()
        answer = super().logits(pairs, **options)
        seconds = time.perf_counter() - started
        self.calls.append((sum(len(tokens.ids) for tokens in self.tokenised(pairs)), seconds))
        return answer


def main() -> None:
    """Explain and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=["squad", "clapnq"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", type=Path)
    parser.add_argument("--questions", type=int, default=500, help="drawn with a fixed seed")
    arguments = parser.parse_args()
    questions = (squad if arguments.kind == "squad" else clapnq)(arguments.file, arguments.only)
    # Where there is a choice.
    questions = [one for one in questions if len(sentences(one.passage.text)) > 1]
    random.Random(7).shuffle(questions)
    report(questions[: arguments.questions])


def report(questions: Sequence[Question]) -> None:
    """Measure and print."""
    model = Metered()
    model.calls = []
    reranker = Reranker(model)
    marked: list[Range] = []
    tokens, seconds = [0, 0], [0.0, 0.0]
    for first in range(0, len(questions), _AT_ONCE):
        part = questions[first : first + _AT_ONCE]
        model.calls.clear()
        rankings = reranker.rank_many(
            [(one.text, [one.passage]) for one in part], explain=True, on_truncation="ignore"
        )
        marked += [(own[0].spans[0].start, own[0].spans[0].end) for own in rankings]
        for number, (count, spent) in enumerate(model.calls[1:]):  # the first reads the passages
            tokens[min(number, 1)] += count
            seconds[min(number, 1)] += spent
    ways = {
        "marked by crossrank": marked,
        "most words of the question": [_overlapping(one) for one in questions],
        "highest BM25": [_by_bm25(one) for one in questions],
        "first sentence": [sentences(one.passage.text)[0] for one in questions],
    }
    right = {
        way: [question.right(sentence) for question, sentence in zip(questions, found, strict=True)]
        for way, found in ways.items()
    }
    number = sum(len(sentences(one.passage.text)) for one in questions) / len(questions)
    print(f"{len(questions)} questions, {number:.1f} sentences a passage\n")
    print("| sentence | holds the answer | marked by crossrank, against it (95% interval) |\n|---|---|---|")
    for way, own in right.items():
        print(f"| {way} | {sum(own) / len(own):.1%} | {_against(right['marked by crossrank'], own)} |")
    print(
        f"\ncost of explaining, as a multiple of scoring the sentences: {sum(tokens) / tokens[0]:.2f} in "
        "tokens, "
        f"{sum(seconds) / seconds[0]:.2f} in time ({1000 * sum(seconds) / len(questions):.1f} ms a hit)"
    )


def _against(marked: Sequence[bool], other: Sequence[bool]) -> str:
    """The paired difference with its interval, by the bootstrap."""
    if marked is other:
        return ""
    differences = np.subtract(marked, other, dtype=float)
    drawn = np.random.default_rng(7).choice(differences, (2000, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{differences.mean():+.1%} ({low:+.1%} to {high:+.1%})"


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _overlapping(question: Question) -> Range:
    asked, text = _words(question.text), question.passage.text
    return max(sentences(text), key=lambda where: len(asked & _words(text[where[0] : where[1]])))


def _by_bm25(question: Question) -> Range:
    found = sentences(question.passage.text)
    texts = [question.passage.text[start:end] for start, end in found]
    best = MemoryRetriever(
        [Document(str(n), text) for n, text in enumerate(texts)], retrieval="lexical"
    ).retrieve(question.text, 1)
    return found[int(best[0].document.id)] if best else found[0]


def squad(path: Path, only: Path | None) -> list[Question]:
    """The questions of a file of SQuAD."""
    ids = None if only is None else {json.loads(line)["_id"] for line in only.read_text().splitlines()}
    questions = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                if ids is not None and asked["id"] not in ids:
                    continue
                answers = [
                    (answer["answer_start"], answer["answer_start"] + len(answer["text"]))
                    for answer in asked["answers"]
                ]
                passage = Document("1", paragraph["context"], article["title"].replace("_", " "))
                if answers:  # version 2 has questions without any
                    questions.append(Question(asked["question"], passage, answers, _holds))
    return questions


def _holds(sentence: Range, answer: Range) -> bool:
    return sentence[0] <= answer[0] and answer[1] <= sentence[1]


def clapnq(path: Path, only: Path | None) -> list[Question]:
    """The questions of a file of ClapNQ."""
    questions = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = row["passages"][0]["text"]
        selected = {one for output in row["output"] for one in output.get("selected_sentences") or ()}
        answers = [(start, start + len(one)) for one in sorted(selected) if (start := text.find(one)) >= 0]
        if answers:
            passage = Document("1", text, row["passages"][0]["title"])
            questions.append(Question(row["input"], passage, answers, _is_of))
    return questions


def _is_of(sentence: Range, answer: Range) -> bool:
    shared = min(sentence[1], answer[1]) - max(sentence[0], answer[0])
    return 2 * shared > sentence[1] - sentence[0]


if __name__ == "__main__":
    main()
