"""How fast an index is made and asked.

    python benchmarks/indexing.py EVAL_FOLDER --peer PYTHON [--runs 3]

EVAL_FOLDER holds judged collections in BEIR layout. First the passages of cranfield, as they are and split at
500/100, are indexed, in turn by crossrank (`Index.add`: SQLite with words, vectors and texts on disk) and by
LangChain's HuggingFaceEmbeddings with FAISS.from_documents (vectors in memory) on the same weights in
float32. Both models are loaded before the clock starts. PYTHON is an interpreter with langchain-community,
langchain-huggingface, sentence-transformers and faiss-cpu. Then 10,000 passages of trecdl19 are indexed and
asked: by new processes (`crossrank search --index`), and warm.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

from reference_case import write_float32

from crossrank import Index
from crossrank.evaluation import load_collection
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.models.locate import DEFAULT_BI_ENCODER
from crossrank.retrieval.base import Retrieval
from crossrank.text import split_documents

PEER = Path(__file__).parent / "peers" / "indexing.py"
LARGE, CANDIDATES = 10_000, 20


def main() -> None:
    """Make and ask."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", required=True, help="an interpreter with LangChain's usual stack")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        making(folder, arguments.folder / "cranfield", arguments.peer, arguments.runs)
        asking(folder, arguments.folder / "trecdl19", arguments.runs)


def making(folder: Path, collection: Path, peer: str, runs: int) -> None:
    """The same passages, indexed in turn by both."""
    documents = load_collection(collection).documents
    write_float32(DEFAULT_BI_ENCODER, folder / "embedder")
    embedder = BiEncoder()
    print(f"Passages of cranfield, {runs} runs, seconds: median (least to most)\n")
    print("| passages | crossrank | LangChain with FAISS, float32 | ratio |\n|---|---|---|---|")
    for name, passages in (("as they are", documents), ("split at 500/100", split_documents(documents))):
        file = folder / f"{len(passages)}.jsonl"
        write(file, [passage.content for passage in passages])
        command = [peer, str(PEER), str(file), str(folder / "embedder")]
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(runs):
            path = folder / f"index-{len(passages)}-{number}"
            index = Index(path, embedder=embedder, chunk_size=100_000, chunk_overlap=0)
            ours.append(seconds(partial(index.add, [file])))
            process = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
            )
            if process.returncode:
                sys.exit(f"{peer} failed:\n{process.stderr}")
            theirs.append(json.loads(process.stdout)["seconds"])
        ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
        cells = f"{spread(ours, '.2f')} | {spread(theirs, '.2f')} | {spread(ratios, '.1f')}"
        print(f"| {len(passages)}, {name} | {cells} |", flush=True)
    print()


def asking(folder: Path, collection: Path, runs: int) -> None:
    """One index, asked by new processes and by one that stays."""
    loaded = load_collection(collection)
    write(folder / "large.jsonl", [document.content for document in loaded.documents[:LARGE]])
    index = Index(folder / "large", chunk_size=100_000, chunk_overlap=0)
    made = seconds(partial(index.add, [folder / "large.jsonl"]))
    info = index.info()
    print(f"{info.passages} passages of trecdl19, made in {made:.1f} s, {info.bytes / 1e6:.0f} MB on disk\n")
    queries = list(loaded.queries.values())
    print("| search | median (least to most) |\n|---|---|")
    for retrieval in get_args(Retrieval):
        command = [sys.executable, "-m", "crossrank", "search", queries[0], "--index", str(index.path)]
        command += ["--retrieval", retrieval, "--candidates", str(CANDIDATES), "--json"]
        cold = [
            seconds(partial(subprocess.run, command, check=True, capture_output=True))
            for _ in range(runs + 1)
        ]
        print(
            f"| a new process, {retrieval}, {CANDIDATES} candidates reranked | {spread(cold[1:], '.2f')} s |"
        )
    for retrieval in get_args(Retrieval):
        index.retrieve(queries[0], CANDIDATES, retrieval=retrieval)
        warm = [
            1000 * seconds(partial(index.retrieve, query, CANDIDATES, retrieval=retrieval))
            for query in queries
        ]
        print(
            f"| warm, first stage alone, {retrieval}, {len(queries)} questions | {spread(warm, '.1f')} ms |"
        )
    embedder = index.embedder
    encoding = [1000 * seconds(partial(embedder.encode_queries, [query])) for query in queries]
    print(f"| of which the question's vector | {spread(encoding, '.1f')} ms |")


def write(file: Path, texts: list[str]) -> None:
    """One passage a line."""
    lines = (json.dumps({"id": str(number), "text": text}) for number, text in enumerate(texts))
    file.write_text("\n".join(lines), encoding="utf-8")


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: list[float], form: str) -> str:
    """Median, and least to most."""
    low, middle, high = (format(f(values), form) for f in (min, statistics.median, max))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()
