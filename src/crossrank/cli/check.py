"""crossrank check: show a model's properties, and compare its scores with published ones."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from crossrank.cli import exit_codes
from crossrank.cli.options import Device, Precision
from crossrank.cli.output import print_json


def check(
    model: Annotated[
        str, typer.Argument(help="A bundled model, a folder, or a Hub name.", show_default=False)
    ],
    device: Device = None,
    precision: Precision = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load a model, show its properties, and compare its scores with published ones, if there are any.

    Exit code 1 if the scores differ from the published ones, 3 if the model cannot be used.

    Example: crossrank check BAAI/bge-reranker-base
    """
    from crossrank.conversion.checking import check_model

    report = check_model(model, device=device, precision=precision)
    print_json(report) if as_json else _print(report)
    if report["agrees"] is False:
        raise typer.Exit(exit_codes.CHECK_FAILED)


def _print(report: dict[str, Any]) -> None:
    from crossrank.cli.screen import console

    screen = console()
    for key, value in report.items():
        if key not in {"golden", "agrees", "notices", "speeds"}:
            screen.print(f"{key.replace('_', ' '):>16}  {value}")
    for arithmetic, ratio in report["speeds"].items():
        screen.print(f"{'':>16}  {ratio:.2f} times as fast as float32: {arithmetic}")
    for notice in report["notices"]:
        screen.print(f"{'note':>16}  {notice}")
    golden = report["golden"]
    if golden is None:
        screen.print(f"{'published scores':>16}  none are known for this model")
        return
    screen.print(f"{'published scores':>16}  {golden['source']}")
    shown = golden["compared"].removesuffix("s")
    for pair in golden["pairs"]:
        screen.print(
            f"{'':>16}  {pair[shown]:9.4f}, published {pair['published']:9.4f}  {pair['passage']}",
        )
    verdict = "as published" if report["agrees"] else "NOT as published"
    screen.print(
        f"{'verdict':>16}  {verdict}: largest difference {golden['largest_difference']:.4f}, "
        f"allowed {golden['tolerance']}",
    )
