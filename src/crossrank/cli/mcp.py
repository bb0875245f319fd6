"""crossrank mcp: search for assistants, over standard input and output."""

from __future__ import annotations

import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossrank.cli.options import Device, KeptScores, Model, Precision, given_path
from crossrank.cli.output import notify_of_cache
from crossrank.models.locate import DEFAULT_CROSS_ENCODER

if TYPE_CHECKING:
    from crossrank.inference.cross_encoder import CrossEncoder


def mcp(
    index: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="INDEX",
            help="The index to search (see crossrank index add).",
            show_default=False,
        ),
    ] = None,
    model: Model = DEFAULT_CROSS_ENCODER,
    device: Device = None,
    precision: Precision = "auto",
    score_cache: KeptScores = None,
) -> None:
    """Serve search to an assistant over standard input and output, as MCP clients start it (docs/mcp.md).

    The tools are search, fetch and rerank; none of them changes anything. Needs the extra crossrank[mcp].

    Example: crossrank mcp --index my-index
    """
    from crossrank.inference.devices import check_device
    from crossrank.inference.score_cache import as_score_cache
    from crossrank.server.mcp import create_server, run_stdio
    from crossrank.server.search_threads import SearchThreads
    from crossrank.server.searching import IndexSearch

    check_device(device)
    cache = as_score_cache(score_cache or None)
    loaded: Future[CrossEncoder] = Future()
    # What may be wrong with index and extra is known before the model is loaded: a process that ends while a
    # thread loads OpenVINO can crash.
    server = create_server(IndexSearch(index, loaded.result), SearchThreads())

    def load() -> None:
        from crossrank.inference.cross_encoder import CrossEncoder

        with suppress(InvalidStateError):  # the client has left
            try:
                loaded.set_result(CrossEncoder(model, device=device, precision=precision, score_cache=cache))
            except BaseException as error:
                loaded.set_exception(error)

    # Loaded meanwhile, so that the client is answered at once; a daemon, so that a download does not keep the
    # process.
    threading.Thread(target=load, daemon=True).start()
    try:
        run_stdio(server)
    finally:
        loaded.cancel()  # calls that still wait for the model would keep the process
        notify_of_cache(cache)
