"""A small run, and the files that reranking it needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossrank.bulk import rerank_run
from crossrank.evaluation import read_run

TEXTS = {f"d{number}": f"Passage {number} says why bread {'rises ' * (number % 7)}." for number in range(30)}
QUERIES = {f"q{number}": f"Why does bread rise {number} times?" for number in range(10)}


@dataclass
class RunFiles:
    """Ten queries with twelve candidates each."""

    folder: Path
    queries: Path
    run: Path
    collection: str
    output: Path

    @classmethod
    def write(cls, folder: Path) -> RunFiles:
        """Write the files into a folder."""
        queries, run, collection = (folder / name for name in ("queries.jsonl", "bm25.run", "corpus.jsonl"))
        queries.write_text(_json_lines(QUERIES))
        collection.write_text(_json_lines(TEXTS))
        run.write_text(
            "".join(
                f"{query} Q0 d{(3 * number + place) % 30} {place} {100 - place} bm25\n"
                for number, query in enumerate(QUERIES)
                for place in range(12)
            )
        )
        return cls(folder, queries, run, str(collection), folder / "out.run")

    def rerank(self, model: str, **options: Any) -> dict[str, dict[str, float]]:
        """The reranked run."""
        rerank_run(self.queries, self.run, self.collection, self.output, model=model, **options)
        return read_run(self.output)


def _json_lines(texts: dict[str, str]) -> str:
    return "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in texts.items())
