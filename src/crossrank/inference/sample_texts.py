"""Questions and passages that come with the package, to try a model on."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TypeAlias

# A question and the passages to rank for it.
Candidates: TypeAlias = tuple[str, tuple[str, ...]]

_SAMPLES = Path(__file__).parents[1] / "samples" / "judged"
# Every fourth of the thirty sample questions, which makes eight, and the number of passages for each.
_QUESTION_STEP, _PASSAGES = 4, 24


@cache
def sample_candidates() -> tuple[Candidates, ...]:
    """Eight questions of the sample collection with 26 passages each, of which the last two are whole texts.

    Judged passages come first, so that some answer; whole texts are longer than most models read.

    Example:
        >>> question, passages = sample_candidates()[0]
        >>> question, len(passages)
        ('What is the plan for the economy?', 26)
    """
    passages = {str(line["_id"]): str(line["text"]) for line in _lines("corpus.jsonl")}
    subjects: dict[str, list[str]] = {}
    for name, text in passages.items():
        subjects.setdefault(name.partition("#")[0], []).append(text)
    judged: dict[str, list[str]] = {}
    for line in (_SAMPLES / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, name, _ = line.split("\t")
        judged.setdefault(query, []).append(name)
    found = []
    for number, query_line in enumerate(_lines("queries.jsonl")[::_QUESTION_STEP]):
        first = judged[str(query_line["_id"])]
        others = [name for name in list(passages)[number % 4 :: 4] if name not in first]
        own = list(subjects).index(first[0].partition("#")[0])
        whole = ["\n".join(list(subjects.values())[(own + step) % len(subjects)]) for step in (0, 7)]
        chosen = [passages[name] for name in (first + others)[:_PASSAGES]]
        found.append((str(query_line["text"]), tuple(chosen + whole)))
    return tuple(found)


def _lines(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (_SAMPLES / name).read_text(encoding="utf-8").splitlines()]
