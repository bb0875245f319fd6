"""Turn the sample texts into the BEIR layout and check the judgements.

Reads ``src/crossrank/samples/texts/*.txt`` (title, blank line, paragraphs parted by blank lines), writes
``judged/corpus.jsonl`` with one object a paragraph, and fails when ``judged/qrels/test.tsv`` names a query or
a passage that does not exist, names one twice, or leaves a query without an answer.

Run it from anywhere: ``python recipes/samples/build_collection.py``.
"""

import json
import sys
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[2] / "src" / "crossrank" / "samples"
HEADER = "query-id\tcorpus-id\tscore"


def passages(path: Path) -> list[dict[str, str]]:
    """Return the paragraphs of one text as corpus objects, numbered from 1."""
    title, *paragraphs = path.read_text(encoding="utf-8").strip().split("\n\n")
    return [
        {"_id": f"{path.stem}#{number}", "title": title.strip(), "text": " ".join(paragraph.split())}
        for number, paragraph in enumerate(paragraphs, start=1)
    ]


def problems(judged: Path, corpus_ids: set[str]) -> list[str]:
    """Return what is wrong with the queries and judgements, one sentence a fault."""
    lines = (judged / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    unanswered = {str(json.loads(line)["_id"]) for line in lines}
    query_ids, seen = set(unanswered), set[tuple[str, str]]()
    header, *rows = (judged / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    found = [] if header == HEADER else [f"the header is {header!r}, not {HEADER!r}"]
    found += [] if len(query_ids) == len(lines) else ["a query id occurs twice"]
    for row in rows:
        query, passage, score = row.split("\t")
        if query not in query_ids or passage not in corpus_ids or score not in {"0", "1", "2"}:
            found.append(f"unknown id or score: {row!r}")
        if (query, passage) in seen:
            found.append(f"judged twice: {row!r}")
        seen.add((query, passage))
        if score == "2":
            unanswered.discard(query)
    return found + [f"no answer for {query}" for query in sorted(unanswered)]


def main() -> int:
    """Write the corpus, check the judgements, and return the exit status."""
    corpus = [row for path in sorted((SAMPLES / "texts").glob("*.txt")) for row in passages(path)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in corpus)
    (SAMPLES / "judged" / "corpus.jsonl").write_text(lines, encoding="utf-8")
    found = problems(SAMPLES / "judged", {row["_id"] for row in corpus})
    print("\n".join(found) or f"{len(corpus)} passages, all judgements valid")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
