"""The ``crossrank`` command."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from importlib import import_module

import typer

from crossrank import __version__
from crossrank.cli import exit_codes
from crossrank.cli.output import notify
from crossrank.errors import CrossrankError, ModelError, TruncationWarning
from crossrank.sagemaker.faults import EndpointError

# The exception for usage errors: click's class up to typer 0.25, typer's copy of it in later releases.
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]


# Where each command or group of commands is, in the order of the help.
_COMMANDS = {
    "demo": "search.demo",
    "search": "search.search",
    "index": "bulk.index_app",  # all its commands: the import adds the last
    "rerank": "search.rerank",
    "rerank-run": "bulk.rerank_run",
    "eval": "evaluate.evaluate",
    "calibrate": "calibrate.calibrate",
    "train": "train.train",
    "check": "check.check",
    "pull": "pull.pull",
    "serve": "serve.serve",
    "mcp": "mcp.mcp",
    "sagemaker": "sagemaker_deploy.sagemaker_app",  # all its commands: the import adds the last
}


def _app(wanted: str) -> typer.Typer:
    """The command of this name, without importing the others; all of them if there is none."""
    app = typer.Typer(
        name="crossrank",
        help="Cross-encoder reranking for your own documents: offline, fast on a plain CPU, scores kept.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for name in [wanted] if wanted in _COMMANDS else _COMMANDS:
        module, _, attribute = _COMMANDS[name].partition(".")
        command = getattr(import_module(f"crossrank.cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            command.callback(invoke_without_command=True)(_help_alone)
            app.add_typer(command)
        else:
            app.command(name)(command)

    @app.callback(invoke_without_command=True)
    def version_or_help(
        context: typer.Context,
        version: bool = typer.Option(False, "--version", help="Print the version."),
    ) -> None:
        if version:
            print(f"crossrank {__version__}")
        elif context.invoked_subcommand is None:
            print(context.get_help())

    return app


def _help_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Run the command line and exit; errors are one line on standard error."""
    _check_streams()
    warnings.simplefilter("ignore", TruncationWarning)  # shown as a notice
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when huggingface_hub is imported
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as head, has exited; Python would report the error again when closing the stream.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        code = exit_codes.READER_LEFT
    sys.exit(code)


def _check_streams() -> None:
    """Replace standard streams that are closed, and let the output accept every character."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _run(arguments: list[str]) -> int:
    """The exit code of a command, after what went wrong has been shown."""
    try:
        # Not the command's own main, which answers a closed pipe itself, with exit code 1.
        command = typer.main.get_command(_app(arguments[0] if arguments else ""))
        with command.make_context("crossrank", arguments) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, typer.Abort):
        notify("interrupted")
        return exit_codes.INTERRUPTED
    except _ClickException as error:
        message = getattr(error, "format_message", error.__str__)()
        notify(f"error: {message} (crossrank --help lists the commands)")
        return exit_codes.INPUT
    except CrossrankError as error:
        notify(f"error: {error}")
        if isinstance(error, ModelError):
            return exit_codes.MODEL
        return exit_codes.SYSTEM if isinstance(error, EndpointError) else exit_codes.INPUT
    except BrokenPipeError:
        raise
    except OSError as error:
        hint = " Free some space and try again." if error.errno == errno.ENOSPC else ""
        notify(f"error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}.{hint}")
        return exit_codes.SYSTEM
    except Exception as error:
        if os.environ.get("CROSSRANK_DEBUG"):
            raise
        notify(
            f"error: something unexpected went wrong ({type(error).__name__}: {str(error)[:300]}). "
            "Set CROSSRANK_DEBUG=1 for the details that a bug report needs."
        )
        return exit_codes.SYSTEM
    return 0


if __name__ == "__main__":
    main()
