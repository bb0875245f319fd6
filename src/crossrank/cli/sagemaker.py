"""crossrank sagemaker: a model as an archive for Amazon SageMaker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossrank.cli.output import print_json

sagemaker_app = typer.Typer(
    name="sagemaker",
    help="Package a cross-encoder for Amazon SageMaker, deploy it, call it, delete it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@sagemaker_app.command("package")
def package(
    model: Annotated[
        str, typer.Argument(help="A bundled cross-encoder, a folder, or a Hub name.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The archive to write.")] = Path(
        "model.tar.gz"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a model's archive for SageMaker, and test it by serving a request from it.

    It contains the weights, code/inference.py and code/requirements.txt. The same model and the same
    installed versions give the same bytes.

    Example: crossrank sagemaker package BAAI/bge-reranker-base -o model.tar.gz
    """
    from crossrank.sagemaker.packaging import package_model

    made = package_model(model, output)
    if as_json:
        print_json(
            {
                "path": str(made.path),
                "bytes": made.size,
                "sha256": made.sha256,
                "files": list(made.files),
                "model": made.model,
            }
        )
        return
    from crossrank.cli.screen import console

    screen = console()
    screen.print(
        f"{made.path}: {made.model}, {made.size / 1e6:.1f} MB, sha256 {made.sha256}",
        soft_wrap=True,
    )
    for name in made.files:
        screen.print(f"  {name}")
    screen.print("Unpacked, loaded with its handlers, and scored as the model itself does.")
