"""Pairs per second of the shapes of well-known rerankers on this processor: the table of docs/models.md.

    python -m benchmarks.model_speed [--pairs 40] [SHAPE ...]

Random weights take as long as trained ones. Each model scores one question with passages of mixed lengths (16
to 512 tokens, 168 on average), its weights stored in float32: computed in bfloat16, and in int8 with ranges
found while running, as a model that was not pulled. Processor time is measured, so that other work on the
machine counts little, and given as pairs per second on all processors. The best of two rounds counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.engines.cases import make_passages
from benchmarks.engines.models import write_tokenizer, write_xlm_roberta
from benchmarks.engines.shapes import deberta, modernbert, write_shape

from crossrank import CrossEncoder
from crossrank.inference.arithmetic import Precision
from crossrank.inference.engines.threads import available_threads

PRECISIONS: tuple[Precision, ...] = ("bfloat16", "int8")


def _shaped(make: Callable[..., Any], *sizes: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        config, shapes = make(*sizes)
        write_shape(folder, config, shapes)
        longest = config["max_position_embeddings"]
        write_tokenizer(folder, "PreTrainedTokenizerFast", longest, typed=False)

    return write


SHAPES: dict[str, Callable[[Path], None]] = {
    "ettin-reranker-17m": _shaped(modernbert, 256, 7, 384, "cls"),
    "ettin-reranker-32m": _shaped(modernbert, 384, 10, 576, "cls"),
    "ettin-reranker-68m": _shaped(modernbert, 512, 19, 768, "cls"),
    "ettin-reranker-150m, gte-reranker-modernbert-base": _shaped(modernbert, 768, 22, 1152, "cls"),
    "mxbai-rerank-xsmall-v1": _shaped(deberta, 384, 12, 1536),
    "mxbai-rerank-base-v1": _shaped(deberta, 768, 12, 3072),
    "bge-reranker-base": write_xlm_roberta,
}


def pairs_per_second(model: CrossEncoder, pairs: list[tuple[str, str]]) -> float:
    """The best of two rounds, after a warm-up."""
    model.logits(pairs)
    seconds = []
    for number in range(2):
        changed = [(f"{query} {number}", passage) for query, passage in pairs]
        started = time.process_time()
        model.logits(changed)
        seconds.append(time.process_time() - started)
    return len(pairs) * available_threads() / min(seconds)


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shapes", nargs="*", choices=[*SHAPES, []], metavar="SHAPE")
    parser.add_argument("--pairs", type=int, default=40)
    arguments = parser.parse_args()
    passages, _ = make_passages(arguments.pairs, "mixed")
    pairs = [("what is the plan for the economy", passage) for passage in passages]
    print(f"| shape | {' | '.join(PRECISIONS)} |\n|---|{'---|' * len(PRECISIONS)}")
    for name in arguments.shapes or SHAPES:
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work) / "model"
            folder.mkdir()
            SHAPES[name](folder)
            speeds = [
                pairs_per_second(CrossEncoder(folder, precision=precision), pairs) for precision in PRECISIONS
            ]
        print(f"| {name} | {' | '.join(f'{speed:.1f}' for speed in speeds)} |", flush=True)


if __name__ == "__main__":
    main()
