"""The fields to learn from: passages of one kind of text, and questions that some of them answer.

DATA is a folder with judged collections in BEIR layout in ``train/`` and unjudged text in ``text/``, one
``NAME.jsonl.gz`` a field, whose rows hold ``query`` (a heading, a title or a question), ``title`` and
``text``.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crossrank.evaluation.collection import load_collection

# Whole collections and fields that nothing is learnt from: every choice is made on them.
KEPT_OUT_JUDGED = frozenset(
    {"conditionalqa_gov", "ni_qasc", "se_bioinformatics", "se_skeptics", "software_faq"}
)
KEPT_OUT = KEPT_OUT_JUDGED | {
    "cfpb_regulations", "digikam", "gnucash_guide", "letsencrypt", "nist_800_63",
    "openstax_microbiology", "state_history", "usda_agronomy",
}  # fmt: skip
# Collections that lean on one kind of question, or whose questions lean on their context.
CAPS = {
    "bioasq": 3000, "boolq": 1500, "condaqa": 500, "fairytaleqa": 2000, "medquad": 2000,
    "multihop_wiki": 600, "ni_boolq": 1500, "ni_qasper": 900, "nq": 4000, "quoref_dev": 600,
    "squad_dev": 3000, "squad_train_sent": 2000,
}  # fmt: skip
# Questions to one set are answered by passages of the others, too: they share a pool of candidates.
POOLS = {
    "wikipedia": ("nq", "squad_dev", "boolq", "ni_boolq", "quoref_dev", "condaqa", "ni_aquamuse_nq"),
    "stack exchange": (
        "se_travel", "se_cardano", "se_mixed", "se_beer", "se_quantum", "se_ai", "se_matheducators",
        "se_scifi", "se_iot",
    ),
}  # fmt: skip
SEED = 7
# Passages of a collection that no chosen question is about.
MOST_OTHERS = 1500


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a field.

    Attributes:
        text: The question.
        relevant: Places of the passages that answer it.
        irrelevant: Places of those that people judged not to.
        judged: Whether people said so; else it is a passage's heading.
    """

    text: str
    relevant: tuple[int, ...]
    irrelevant: tuple[int, ...] = ()
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """Passages of one kind of text, and questions to them."""

    name: str
    passages: tuple[str, ...]
    questions: tuple[Question, ...]


def load_fields(data: Path, *, passages: int | None = None) -> Iterator[Field]:
    """All fields, those kept out first.

    Args:
        data: The folder.
        passages: At most this many of each unjudged field, drawn by chance.
    """
    pooled = {name for names in POOLS.values() for name in names}
    groups = dict(POOLS)
    for folder in sorted(path for path in (data / "train").iterdir() if path.is_dir()):
        if folder.name not in pooled:
            groups[folder.name] = (folder.name,)
    for name, names in sorted(groups.items(), key=lambda group: group[0] not in KEPT_OUT):
        yield _judged(name, [data / "train" / each for each in names])
    files = sorted((data / "text").glob("*.jsonl.gz"))
    for file in sorted(files, key=lambda file: file.name.removesuffix(".jsonl.gz") not in KEPT_OUT):
        yield _unjudged(file, passages)


def _judged(name: str, folders: list[Path]) -> Field:
    passages: list[str] = []
    questions: list[Question] = []
    for folder in folders:
        collection = load_collection(folder, split="train")
        tested = _tested(folder)
        places: dict[str, int] = {}
        for document in collection.documents:
            if document.id not in tested:
                places[document.id] = len(passages)
                passages.append(document.content)
        found = []
        for query, text in collection.queries.items():
            grades = {places[d]: g for d, g in collection.qrels[query].items() if d in places}
            relevant = tuple(place for place, grade in grades.items() if grade > 0)
            if relevant and text.strip():
                found.append(Question(text, relevant, tuple(set(grades) - set(relevant))))
        random.Random(f"{SEED} {folder.name}").shuffle(found)
        questions += found[: CAPS.get(folder.name)]
    return _reduced(Field(name, tuple(passages), tuple(questions)))


def _reduced(field: Field) -> Field:
    """Without most passages that no chosen question is about, where there are very many."""
    needed = {place for question in field.questions for place in (*question.relevant, *question.irrelevant)}
    others = [place for place in range(len(field.passages)) if place not in needed]
    chance = random.Random(f"{SEED} {field.name}")
    kept = sorted(needed | set(chance.sample(others, min(len(others), MOST_OTHERS))))
    places = {place: new for new, place in enumerate(kept)}
    questions = tuple(
        Question(
            q.text, tuple(places[p] for p in q.relevant), tuple(places[p] for p in q.irrelevant), q.judged
        )
        for q in field.questions
    )
    return Field(field.name, tuple(field.passages[place] for place in kept), questions)


def _tested(folder: Path) -> set[str]:
    """Documents that only the test split judges: not even a negative is made of them."""
    file = folder / "qrels" / "test.tsv"
    if not file.is_file():
        return set()
    train = {line.split("\t")[1] for line in (folder / "qrels" / "train.tsv").read_text().splitlines()[1:]}
    return {line.split("\t")[1] for line in file.read_text().splitlines()[1:]} - train


def _unjudged(file: Path, limit: int | None) -> Field:
    name = file.name.removesuffix(".jsonl.gz")
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    chance = random.Random(f"{SEED} {name}")
    chance.shuffle(rows)
    rows = rows[:limit]
    titled = chance.random() < 0.5  # some people index titles, and some do not
    passages = tuple(
        f"{row['title']}\n{row['text']}" if titled and row["title"] else row["text"] for row in rows
    )
    answered: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        answered[_heading(row["query"], chance)].append(place)
    questions = [
        Question(text, tuple(places), judged=False)
        for text, places in answered.items()
        # A heading that stands over many passages, "Introduction" say, says little.
        if len(text.split()) > 1 and len(places) <= 3
    ]
    return Field(name, passages, tuple(questions))


def _heading(text: str, chance: random.Random) -> str:
    """``Tax: Income: Rates`` as it stands, or without its first parts, as a person would ask."""
    parts = text.split(": ")
    if len(parts) > 1 and chance.random() < 0.5:
        short = ": ".join(parts[-2:]) if len(parts) > 2 else parts[-1]
        if len(short.split()) >= 3:
            return short
    return text
