"""crossrank rerank-run, and crossrank index add-collection: jobs of any size, also on Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from crossrank.cli.index import AsJson, ChunkOverlap, ChunkSize, Folder, Vectors, index_app
from crossrank.cli.options import Device, IndexEmbedder, Model, Precision
from crossrank.cli.output import notify, print_json, print_line, progress_bars
from crossrank.errors import InputError
from crossrank.evaluation.lines import refuse
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

__all__ = ["index_app", "rerank_run"]

# Of the lines that were left out, this many are shown.
_SHOWN = 10

Ray: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Work on a Ray cluster: its address, auto for the one this machine belongs to, or local. "
        "Needs crossrank[ray].",
    ),
]
Workers: TypeAlias = Annotated[
    int | None, typer.Option(help="Models on the cluster; one for each machine by default.")
]
SkipBad: TypeAlias = Annotated[
    bool,
    typer.Option("--skip-bad", help="Leave out input lines that cannot be used; report their numbers."),
]


class _LeftOut:
    """Counts and shows the lines that are left out."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: InputError) -> None:
        self.count += 1
        if self.count <= _SHOWN:
            notify(f"left out: {error}")

    def sum_up(self, what: str) -> None:
        """Say how many there were, if not all were shown."""
        if self.count > _SHOWN:
            notify(f"{self.count} {what} were left out; the first {_SHOWN} are above")


def rerank_run(
    run: Annotated[str, typer.Option(help="The run to rerank, in TREC's format.", show_default=False)],
    queries: Annotated[
        str,
        typer.Option(
            help="The queries: JSON Lines (_id, text), or .tsv with id and question.", show_default=False
        ),
    ],
    collection: Annotated[
        str,
        typer.Option(
            help="The documents: JSON Lines or Parquet (_id, text, title), a BEIR folder, or an index. These "
            "three may be addresses such as s3://bucket/corpus.jsonl.gz.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The reranked run to write.", show_default=False)
    ],
    model: Model = DEFAULT_CROSS_ENCODER,
    candidates: Annotated[
        int | None,
        typer.Option(help="How many candidates of a query to rerank; the others follow. All by default."),
    ] = None,
    block_size: Annotated[
        int, typer.Option(help="Queries in a block: what is saved at once, and lost by a kill at most.")
    ] = 16,
    precision: Precision = "auto",
    device: Device = None,
    ray: Ray = None,
    workers: Workers = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Rerank every query of a run, such as thousands of queries with 1,000 candidates each.

    What is done is saved block by block: after a kill, the same command goes on.

    Example: crossrank rerank-run --run bm25.run --queries queries.jsonl --collection corpus.jsonl -o out.run
    """
    from crossrank.bulk import rerank_run

    left_out = _LeftOut()
    with progress_bars() as progress:
        report = rerank_run(
            queries,
            run,
            collection,
            output,
            model=model,
            candidates=candidates,
            block_size=block_size,
            precision=precision,
            device=device,
            ray=ray,
            workers=workers,
            on_bad_line=left_out if skip_bad else refuse,
            progress=progress,
        )
    for notice in report.notices:
        notify(notice)
    left_out.sum_up("lines, queries and documents")
    if as_json:
        print_json({**report.to_dict(), "left_out": left_out.count})
        return
    speed = f", {report.pairs / report.seconds:.0f} a second" if report.pairs else ""
    before = f"; {report.resumed} of {report.blocks} blocks were done before" if report.resumed else ""
    print_line(
        f"{report.output}: {report.queries} queries, {report.pairs} pairs ranked{speed} "
        f"({report.model}, {report.arithmetic}){before}"
    )
    if report.truncated:
        notify(f"{report.truncated} documents are longer than the model reads; their end was not read")


@index_app.command("add-collection")
def add_collection(
    index: Folder,
    collection: Annotated[
        str,
        typer.Argument(
            metavar="COLLECTION",
            help="JSON Lines or Parquet (_id, text, title), a pattern for several files, or a BEIR folder; "
            "also at an address such as s3://bucket/corpus.jsonl.gz.",
            show_default=False,
        ),
    ],
    embedder: IndexEmbedder = None,
    precision: Precision = "auto",
    chunk_size: ChunkSize = None,
    chunk_overlap: ChunkOverlap = None,
    vectors: Vectors = None,
    part_size: Annotated[
        int, typer.Option(help="Passages in a part: what is written at once, and lost by a kill at most.")
    ] = 1024,
    ray: Ray = None,
    workers: Workers = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Add a collection of any size to an index, part by part; the index is created if it does not exist.

    What is done is kept: after a kill, the same command goes on.

    Example: crossrank index add-collection my-index 's3://bucket/part-*.parquet' --ray auto
    """
    from crossrank.bulk import add_collection

    left_out = _LeftOut()
    with progress_bars() as progress:
        report = add_collection(
            index,
            collection,
            embedder=embedder,
            precision=precision,
            chunk_size=chunk_size,
            chunk_overlap=chunk_overlap,
            vectors=vectors,
            part_size=part_size,
            ray=ray,
            workers=workers,
            on_bad_line=left_out if skip_bad else refuse,
            progress=progress,
        )
    left_out.sum_up("lines")
    if as_json:
        print_json({**report.to_dict(), "left_out": left_out.count})
        return
    speed = f", {report.passages / report.seconds:.0f} a second" if report.passages else ""
    before = f"; {report.resumed} of {report.parts} parts were done before" if report.resumed else ""
    print_line(
        f"{report.index}: {report.documents} documents of {report.files} files, {report.passages} passages "
        f"embedded{speed} ({report.embedder}, {report.arithmetic}){before}"
    )
