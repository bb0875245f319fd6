"""crossrank rerank-run: rerank a whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossrank.cli.options import Device, Model, Precision
from crossrank.cli.output import notify, print_json, print_line, progress_bars
from crossrank.errors import InputError
from crossrank.evaluation.lines import refuse
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

# Of the lines that were left out, this many are shown.
_SHOWN = 10


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
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Rank on a Ray cluster: its address, auto for the one this machine belongs to, or local. "
            "Needs crossrank[ray].",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Models on the cluster; one for each machine by default.")
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out input lines that cannot be used; report their numbers."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rerank every query of a run, such as thousands of queries with 1,000 candidates each.

    What is done is saved block by block: after a kill, the same command goes on.

    Example: crossrank rerank-run --run bm25.run --queries queries.jsonl --collection corpus.jsonl -o out.run
    """
    from crossrank.bulk import rerank_run

    skipped: list[str] = []

    def skip(error: InputError) -> None:
        skipped.append(str(error))
        if len(skipped) <= _SHOWN:
            notify(f"left out: {error}")

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
            on_bad_line=skip if skip_bad else refuse,
            progress=progress,
        )
    for notice in report.notices:
        notify(notice)
    if len(skipped) > _SHOWN:
        notify(f"{len(skipped)} lines, queries and documents were left out; the first {_SHOWN} are above")
    if as_json:
        print_json({**report.to_dict(), "left_out": len(skipped)})
        return
    speed = f", {report.pairs / report.seconds:.0f} a second" if report.pairs else ""
    before = f"; {report.resumed} of {report.blocks} blocks were done before" if report.resumed else ""
    print_line(
        f"{report.output}: {report.queries} queries, {report.pairs} pairs ranked{speed} "
        f"({report.model}, {report.arithmetic}){before}"
    )
    if report.truncated:
        notify(f"{report.truncated} documents are longer than the model reads; their end was not read")
