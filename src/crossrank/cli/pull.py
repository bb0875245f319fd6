"""crossrank pull: fetch a model, quantise it to int8, and compare it with the original."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossrank.cli import exit_codes
from crossrank.cli.output import notify, print_json
from crossrank.conversion import WeightFormat

if TYPE_CHECKING:
    from crossrank.conversion.pulling import PullReport


def pull(
    model: Annotated[
        str, typer.Argument(help="A bundled model, a folder, or a Hub name.", show_default=False)
    ],
    weight_format: Annotated[
        WeightFormat, typer.Option(help="int8: a quarter of the size, and faster; fp32: exact.")
    ] = "int8",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder to write.", show_default="NAME-int8 or NAME-fp32"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch a reranker or embedder, quantise it to int8, and compare it with the original on sample pairs.

    Exit code 1 if the copy ranks too differently; it is deleted then.

    Example: crossrank pull BAAI/bge-reranker-base
    """
    from crossrank.conversion.pulling import pull_model

    # Large models take minutes, so show the progress.
    report = pull_model(
        model, output, weight_format, on_step=notify if sys.stderr.isatty() else lambda step: None
    )
    print_json(report.as_dict()) if as_json else _print(report)
    if not report.accepted:
        raise typer.Exit(exit_codes.CHECK_FAILED)


def _print(report: PullReport) -> None:
    from crossrank.conversion.parity import LOWEST_SPEARMAN, LOWEST_TOP_10

    parity, speed = report.parity, report.speed
    is_reranker = report.kind == "cross-encoder"
    lines = {
        "model": report.model + (f", revision {report.revision}" if report.revision else ""),
        "kind": report.kind,
        "size": f"{_megabytes(report.original_size)}, {report.weight_format} {_megabytes(report.copy_size)}",
        "compared": f"{parity.pairs} pairs of the sample texts",
        "logits" if is_reranker else "similarities": (
            f"largest difference {parity.largest_difference:.4f}, mean {parity.mean_difference:.4f}"
        ),
    }
    if parity.mean_cosine is not None:
        lines["vectors"] = f"cosine {parity.mean_cosine:.4f} on average, {parity.lowest_cosine:.4f} at least"
    lines["order"] = (
        f"Spearman {parity.spearman:.4f} (at least {LOWEST_SPEARMAN}), "
        f"top-10 agreement {parity.top_10_agreement:.3f} (at least {LOWEST_TOP_10})"
    )
    unit = "pairs" if is_reranker else "texts"
    lines["speed"] = (
        f"{speed.ratio:.2f} times as fast: {speed.copy:.1f} {unit} a second, before {speed.original:.1f}"
    )
    from crossrank.cli.screen import console

    screen = console()
    for key, value in [*lines.items(), *(("note", notice) for notice in report.notices)]:
        screen.print(f"{key:>16}  {value}", soft_wrap=True)
    if not report.accepted:
        hint = "; --weight-format fp32 keeps the model as it is" if report.weight_format == "int8" else ""
        verdict = f"REFUSED: it ranks too differently. Nothing was kept{hint}"
        screen.print(f"{'verdict':>16}  {verdict}", soft_wrap=True)
        return
    folder = shlex.quote(str(report.folder) if report.folder.is_absolute() else f"./{report.folder}")
    option = "--model" if is_reranker else "--embedder"
    screen.print(f"{'written':>16}  {report.folder}", soft_wrap=True)
    screen.print(f'{"use it":>16}  crossrank search "..." notes/ {option} {folder}', soft_wrap=True)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
