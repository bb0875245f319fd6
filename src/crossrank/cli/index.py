"""crossrank index: create, update and inspect a persistent index."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from crossrank.cli.options import IndexEmbedder, given_path
from crossrank.cli.output import notify, print_json, print_line, progress_bar

if TYPE_CHECKING:
    from crossrank.index import AddReport

index_app = typer.Typer(
    name="index",
    help="Manage a persistent index of files (search it with crossrank search --index).",
)

# The maximum number of paths that are listed individually.
_LISTED = 10

Folder: TypeAlias = Annotated[
    Path, typer.Argument(parser=given_path, metavar="INDEX", help="The index's folder.", show_default=False)
]
ChunkSize: TypeAlias = Annotated[
    int | None,
    typer.Option(help="For a new index: maximum length of a passage in characters.", show_default="500"),
]
ChunkOverlap: TypeAlias = Annotated[
    int | None, typer.Option(help="For a new index: characters that passages overlap.", show_default="100")
]
Vectors: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="How vectors are held in memory: float32, int8 or binary (the best are scored exactly).",
        show_default="float32",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@index_app.command("add")
def add(
    index: Folder,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=given_path,
            metavar="PATHS",
            help="Files and folders; by default, everything added before.",
            show_default=False,
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(help="Include only files in folders that match this pattern (.gitignore syntax)."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Exclude files in folders that match this pattern.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a file cannot be read.")] = False,
    embedder: IndexEmbedder = None,
    chunk_size: ChunkSize = None,
    chunk_overlap: ChunkOverlap = None,
    vectors: Vectors = None,
    as_json: AsJson = False,
) -> None:
    """Add files to an index, or update them; the index is created if it does not exist.

    Reads text, Markdown, HTML, PDF, Word (.docx), CSV, JSON Lines, and folders of them. Run it again to
    update the index: changed files are read again, and deleted files are removed.

    Example: crossrank index add my-index notes/ report.pdf --exclude 'drafts/'
    """
    from crossrank.index import Index

    kept = Index(
        index, embedder=embedder, chunk_size=chunk_size, chunk_overlap=chunk_overlap, vectors=vectors
    )
    with _progress("Indexing") as progress:
        report = kept.add(
            paths or (), include=include or (), exclude=exclude or (), strict=strict, progress=progress
        )
    print_json(dataclasses.asdict(report)) if as_json else _print_report(report)


@index_app.command("ls")
def ls(index: Folder, as_json: AsJson = False) -> None:
    """List the files in an index, with the number of passages, or the reason why there are none.

    Example: crossrank index ls my-index
    """
    from crossrank.index import Index

    files = Index(index).ls()
    if as_json:
        print_json({"files": [dataclasses.asdict(file) for file in files]})
        return
    for file in files:
        problem = f"  ({file.problem})" if file.problem else ""
        print_line(f"{file.passages:>7}  {_shown(file.path)}{problem}")


@index_app.command("rm")
def rm(
    index: Folder,
    paths: Annotated[
        list[Path],
        typer.Argument(
            parser=given_path, metavar="PATHS", help="Files and folders to remove.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Remove files from an index until they are added by name again; the files themselves are kept.

    Example: crossrank index rm my-index notes/old.md
    """
    from crossrank.index import Index

    gone = Index(index).rm(paths)
    if as_json:
        print_json({"removed": gone})
    else:
        _print_paths("removed", gone)


@index_app.command("info")
def info(index: Folder, as_json: AsJson = False) -> None:
    """Show statistics of an index, check it for damage, and measure the recall of its vector search.

    Example: crossrank index info my-index
    """
    from crossrank.index import Index

    values = dataclasses.asdict(Index(index).info())
    if values["damaged"]:
        notify(
            f"{values['damaged']} vectors are not as they were written; make them again: crossrank index "
            f"rebuild {shlex.quote(str(index))}"
        )
    if as_json:
        print_json(values)
        return
    from rich.table import Table

    from crossrank.cli.screen import console

    table = Table(show_header=False, box=None)
    for name, value in values.items():
        shown = "\n".join(map(_source, value)) if isinstance(value, (tuple, list)) else str(value)
        table.add_row(name.replace("_", " "), shown)
    console().print(table)


@index_app.command("rebuild")
def rebuild(
    index: Folder, embedder: IndexEmbedder = None, vectors: Vectors = None, as_json: AsJson = False
) -> None:
    """Embed and index the stored passages again, optionally with another embedding model.

    Example: crossrank index rebuild my-index --embedder BAAI/bge-small-en-v1.5
    """
    from crossrank.index import Index

    kept = Index(index, embedder=embedder, vectors=vectors)
    with _progress("Embedding") as progress:
        mended = kept.rebuild(progress=progress)
    after = kept.info()
    if as_json:
        print_json({"passages": after.passages, "embedder": after.embedder, "mended": mended})
        return
    print_line(f"{after.passages} passages embedded with {after.embedder}")
    if mended:
        print_line(f"{mended} vectors that were not as they had been written are mended")


@contextmanager
def _progress(description: str) -> Iterator[Callable[[int, int], object]]:
    """A progress bar whose total is set when it is known."""
    with progress_bar(description, None) as bar:
        yield (lambda done, total: None) if bar is None else bar.update


def _print_report(report: AddReport) -> None:
    for line in (*report.skipped, *report.notices):
        notify(line)
    if report.unsupported:
        kinds = ", ".join(
            f"{count} {suffix or 'without a suffix'}" for suffix, count in report.unsupported.items()
        )
        notify(f"passed over, since these types are not read: {kinds}")
    _print_paths("added", report.added)
    _print_paths("changed", report.changed)
    _print_paths("removed", report.removed)
    print_line(f"{report.unchanged} unchanged; {report.passages} passages written")


def _print_paths(what: str, paths: list[str]) -> None:
    for path in paths[:_LISTED]:
        print_line(f"{what} {_shown(path)}")
    if len(paths) > _LISTED:
        print_line(f"{what} {len(paths) - _LISTED} more")


def _shown(path: str) -> str:
    """A path relative to the working directory, if that is shorter."""
    here = Path(path)
    with_dots = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    return str(with_dots)


def _source(value: Mapping[str, Any] | str) -> str:
    """A source with its patterns, or a path."""
    if isinstance(value, str):
        return value
    patterns = [f"{name} {' '.join(value[name])}" for name in ("include", "exclude") if value[name]]
    return f"{value['path']}  ({', '.join(patterns)})" if patterns else str(value["path"])
