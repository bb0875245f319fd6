from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossrank.inference.bi_encoder import BiEncoder

_ANIMALS = (
    "bee",
    "fox",
    "owl",
    "carp",
    "mole",
    "crow",
    "hare",
    "newt",
    "swan",
    "toad",
    "wolf",
    "wren",
    "lynx",
    "seal",
)
_FACTS = {
    "eats": "The {} eats what it finds in the morning, and keeps the rest for the winter.",
    "sleeps": "At night the {} sleeps under leaves, roots or stones, and wakes at the least noise.",
    "fights": "When two meet, the {} raises its head and fights until one of them leaves.",
}


@pytest.fixture(scope="session")
def embedder() -> BiEncoder:
    return BiEncoder()


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """42 questions with a relevant passage each, and two more that only a test split judges."""
    folder = tmp_path_factory.mktemp("judged") / "animals"
    (folder / "qrels").mkdir(parents=True)
    corpus, queries, judgements = [], [], ["query-id\tcorpus-id\tscore"]
    for animal in _ANIMALS:
        for verb, text in _FACTS.items():
            name = f"{animal}-{verb}"
            corpus.append({"_id": name, "title": animal.title(), "text": text.format(animal)})
            queries.append({"_id": f"q-{name}", "text": f"how the {animal} {verb}"})
            judgements.append(f"q-{name}\t{name}\t1")
    corpus.append({"_id": "secret", "title": "", "text": "The owl eats mice: a passage of somebody's test."})
    queries.append({"_id": "q-test", "text": "what the owl eats"})
    _write(folder / "corpus.jsonl", corpus)
    _write(folder / "queries.jsonl", queries)
    (folder / "qrels" / "train.tsv").write_text("\n".join(judgements) + "\n")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq-test\tsecret\t1\n")
    return folder


def _write(file: Path, rows: list[dict[str, str]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
