"""crossrank sagemaker: a model as an archive for Amazon SageMaker."""

from __future__ import annotations

import typer

sagemaker_app = typer.Typer(
    name="sagemaker",
    help="Package a cross-encoder for Amazon SageMaker, deploy it, call it, delete it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
