"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from crossrank.inference.arithmetic import Precision as PrecisionName
from crossrank.inference.truncation import OnTruncation as OnTruncationName
from crossrank.models.locate import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from crossrank.ranking.effort import Effort as EffortName
from crossrank.ranking.long_documents import LongDocuments as LongDocumentsName
from crossrank.retrieval.base import Retrieval


def given_path(text: str) -> Path:
    """Parse a path; an empty one, such as from an unset shell variable, would be the working directory."""
    if not text:
        raise typer.BadParameter("a path is empty; write . for this folder")
    return Path(text)


Query: TypeAlias = Annotated[str, typer.Argument(help="The question.", show_default=False)]
Candidates: TypeAlias = Annotated[
    int, typer.Option(help="How many passages the first stage passes to the reranker.")
]
PassagesFile: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="Passages: JSON Lines, a JSON array, or plain text with one per line; - for standard input."
    ),
]
TopNOfAll: TypeAlias = Annotated[
    int | None, typer.Option("--top-n", help="How many hits to show; all by default.")
]
TopN: TypeAlias = Annotated[int, typer.Option("--top-n", help="How many hits to show.")]
Model: TypeAlias = Annotated[
    str, typer.Option(help=f"Cross-encoder: bundled ({DEFAULT_CROSS_ENCODER}), a folder, or a Hub name.")
]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Where the cross-encoder runs: cpu, cuda, cuda:1 or mps. A GPU needs crossrank[torch].",
        show_default="cpu",
    ),
]
Precision: TypeAlias = Annotated[
    PrecisionName,
    typer.Option(
        help="The arithmetic: the fastest that ranks like float32 on this processor, or a fixed one."
    ),
]
MinProbability: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Show only hits of at least this probability, from 0 to 1; none if nothing is relevant. For "
        "calibrated models, such as the bundled one.",
        show_default=False,
    ),
]
ScoreCacheOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--score-cache",
        parser=given_path,
        metavar="FILE",
        help="Do not score pairs again that were scored before: a file that is kept from run to run.",
        show_default=False,
    ),
]
KeptScores: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--score-cache",
        envvar="CROSSRANK_SCORE_CACHE",
        metavar="memory|FILE",
        help="Do not score pairs again that were scored before: keep scores in memory, or in a file that "
        "several servers and later runs can use.",
        show_default=False,
    ),
]
Effort: TypeAlias = Annotated[
    EffortName,
    typer.Option(help="Read every candidate that may be among the best, or only those likely to be."),
]
LongDocuments: TypeAlias = Annotated[
    LongDocumentsName,
    typer.Option(
        help="How to read passages that are longer than the model reads: truncate cuts off their end, "
        "windows reads all of them in parts, first reads the first part."
    ),
]
BestWindows: TypeAlias = Annotated[
    int,
    typer.Option(help="For windows: the score is the mean of this many of the best windows of a passage."),
]
OnTruncation: TypeAlias = Annotated[
    OnTruncationName,
    typer.Option(help="If the end of a passage is not read: warn, end with an error, or ignore it."),
]
Explain: TypeAlias = Annotated[
    bool,
    typer.Option("--explain", help="Mark the sentence and the words that the score of a hit comes from."),
]
Embedder: TypeAlias = Annotated[
    str, typer.Option(help=f"Bi-encoder: bundled ({DEFAULT_BI_ENCODER}), a folder, or a Hub name.")
]
IndexEmbedder: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--embedder", help="Bi-encoder: bundled, a folder, or a Hub name.", show_default="the index's own"
    ),
]
RetrievalOption: TypeAlias = Annotated[Retrieval, typer.Option(help="The first stage.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON (docs/ranking.schema.json).")]
