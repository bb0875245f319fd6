"""Generated texts and an embedder for them, so that a million passages need no collection and no hours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

WORDS, TOPICS, DIMENSIONS = 20_000, 2_000, 384
# The commonest words are as stop words: they are in every text, and nobody's question is searched for them.
STOP_WORDS = 100
# Of a passage's words, how many belong to its topic, and how many words a topic has.
TOPIC_SHARE, TOPIC_WORDS = 0.5, 30
ROWS_A_FILE = 10_000


def questions(number: int, *, words: int = 8) -> Iterator[str]:
    """Questions about the topics of the texts, without the commonest words."""
    for text in texts(number, words=3 * words, seed=3):
        kept = [word for word in text.split() if int(word[1:]) >= STOP_WORDS]
        yield " ".join(kept[:words])


def texts(number: int, *, words: int = 60, seed: int = 1) -> Iterator[str]:
    """Texts of a topic each; words are as frequent as Zipf's law says.

    Args:
        number: How many.
        words: Number of words in each.
        seed: Other seeds give other texts of the same topics.
    """
    topics = np.random.default_rng(0).integers(0, WORDS, (TOPICS, TOPIC_WORDS))
    chance = np.random.default_rng(seed)
    for start in range(0, number, ROWS_A_FILE):
        rows = min(ROWS_A_FILE, number - start)
        common = chance.zipf(1.3, (rows, words)) % WORDS
        chosen = topics[
            chance.integers(0, TOPICS, rows)[:, None], chance.integers(0, TOPIC_WORDS, (rows, words))
        ]
        mixed = np.where(chance.random((rows, words)) < TOPIC_SHARE, chosen, common)
        for row in mixed:
            yield " ".join(f"w{word}" for word in row)


def write_passages(folder: Path, number: int) -> None:
    """Write passages as JSON Lines, ``ROWS_A_FILE`` in each file."""
    folder.mkdir(parents=True)
    rows = texts(number)
    for start in range(0, number, ROWS_A_FILE):
        with (folder / f"part-{start:09d}.jsonl").open("w", encoding="utf-8") as file:
            for place in range(start, min(start + ROWS_A_FILE, number)):
                file.write(json.dumps({"id": str(place), "text": next(rows)}) + "\n")


def write_embedder(folder: Path) -> None:
    """Write a static embedder of these words: a vector is computed in microseconds."""
    folder.mkdir(parents=True)
    vocabulary = {f"w{word}": word for word in range(WORDS)} | {"[UNK]": WORDS}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    table: NDArray[np.float32] = np.random.default_rng(2).standard_normal(
        (len(vocabulary), DIMENSIONS), dtype=np.float32
    )
    # Frequent words say little.
    table *= np.minimum(1, np.log1p(np.arange(len(vocabulary))) / 6)[:, None].astype(np.float32)
    save_file({"embedding.weight": table}, folder / "model.safetensors")
    modules = [("", "StaticEmbedding"), ("1_Normalize", "Normalize")]
    (folder / "1_Normalize").mkdir()
    (folder / "modules.json").write_text(
        json.dumps(
            [
                {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for i, (path, kind) in enumerate(modules)
            ]
        ),
        encoding="utf-8",
    )
