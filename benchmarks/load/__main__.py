"""Load on ``crossrank serve``: pairs per second and latency for 1 to 256 clients, and ten times overload.

    python -m benchmarks.load [--infinity PYTHON] [--seconds 6] [--clients 1 8 32 64 256]

All requests are different: a query and 20 passages of the sample texts. They are sent over loopback by a
process of its own (generator.py) to ``crossrank serve`` with its defaults, and, in turn with that, scored by
``CrossEncoder.predict`` without a server (engine.py): for one client request by request, else 64 requests in
one call. Every answer must have the engine's scores, and none may be an error but 429. PYTHON is an
interpreter with infinity-emb 0.0.78 (``pip install 'infinity-emb[server,torch,optimum]'``); its server gets
the same weights in float32, as ONNX, and as ONNX in int8. The machine has to be idle otherwise.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.engines.machine import describe_machine, kind_of
from benchmarks.load.engine import Engine
from benchmarks.load.measuring import Bench, Measured
from benchmarks.load.requests import make_requests
from benchmarks.load.servers import Server, crossrank, infinity, running
from benchmarks.reference_case import write_float32

from crossrank.models.locate import DEFAULT_CROSS_ENCODER

# Names, the folder that is loaded, and options of infinity's server.
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "infinity, torch": ("float32", ("--engine", "torch")),
    "infinity, torch, bfloat16": ("float32", ("--engine", "torch", "--dtype", "bfloat16")),
    "infinity, ONNX": ("onnx", ("--engine", "optimum")),
    "infinity, ONNX int8": ("int8", ("--engine", "optimum")),
}
_COLUMNS = ("clients", "p50, ms", "p95, ms", "p99, ms", "pairs/s", "of the engine", "refused", "generator")
EXPORT = Path(__file__).parents[1] / "peers" / "load" / "export_onnx.py"
_OVERLOAD = 10


def measure(bench: Bench, server: Server, levels: list[int], *, own: bool, overload: bool) -> None:
    """Print a server's table.

    Args:
        bench: What to measure with.
        server: The server.
        levels: Numbers of clients.
        own: Whether it is crossrank, whose answers must be the engine's.
        overload: Whether to send ten times what it can do.
    """
    print(f"\n{server.name}\n\n| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}")
    fastest = 1.0
    with running(server) as url:
        bench.warm_up(url)
        for clients in levels:
            measured = bench.clients(url, clients)
            print(row(str(clients), measured), flush=True)
            fastest = max(fastest, *measured.speeds)
            check(bench, measured, own=own)
        if overload:
            measured = bench.overload(url, _OVERLOAD * fastest / len(bench.requests[0].passages))
            print(row(f"{_OVERLOAD} times too many", measured), flush=True)
            check(bench, measured, own=own)


def row(name: str, measured: Measured) -> str:
    """A row of the table."""
    ratio = statistics.median(measured.ratios)
    cells = [name, *(f"{value:.0f}" for value in measured.percentiles())]
    cells += [f"{statistics.median(measured.speeds):.0f}", f"{ratio:.2f}", str(measured.refused)]
    if measured.added is not None:
        cells.append(f"adds {measured.added:.1f} ms")
    else:
        cells.append(f"{statistics.median(measured.generator):.1%}")
    return f"| {' | '.join(cells)} |"


def check(bench: Bench, measured: Measured, *, own: bool) -> None:
    """End the benchmark if an answer is wrong.

    Raises:
        SystemExit: It is.
    """
    if measured.failed:
        sys.exit(f"{measured.failed} requests were neither answered nor refused with 429")
    if own and (different := measured.different(bench.engine)):
        sys.exit(f"{different} answers have other scores than the engine")


def main() -> None:
    """All tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_CROSS_ENCODER)
    parser.add_argument("--infinity", metavar="PYTHON", help="an interpreter with infinity-emb")
    parser.add_argument("--servers", nargs="*", default=["crossrank", *PEERS], choices=["crossrank", *PEERS])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 64, 256])
    parser.add_argument("--seconds", type=float, default=6, help="of each round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=2048)
    parser.add_argument("--passages", type=int, default=20)
    parser.add_argument("--overload", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    machine = describe_machine()
    print(f"{kind_of(machine)[1]}, {machine['processors']} processors; {options.passages} passages a request")
    requests = make_requests(options.requests, options.passages)
    bench = Bench(Engine(options.model, requests), requests, options.seconds, options.rounds)
    if "crossrank" in options.servers:
        measure(bench, crossrank(options.model), options.clients, own=True, overload=options.overload)
    for name in options.servers:
        if options.infinity and name in PEERS:
            kind, settings = PEERS[name]
            with tempfile.TemporaryDirectory() as temporary:
                folder = write_model(options.model, kind, Path(temporary), options.infinity)
                peer = infinity(options.infinity, folder, name, *settings)
                measure(bench, peer, options.clients, own=False, overload=False)


def write_model(model: str, kind: str, work: Path, python: str) -> Path:
    """The bundled weights as infinity loads them: ``float32``, or exported to ``onnx`` or its ``int8``."""
    write_float32(model, work / "float32")
    if kind != "float32":
        command = [python, str(EXPORT), str(work / "float32"), str(work / kind)]
        subprocess.run([*command, *(["int8"] if kind == "int8" else [])], check=True, capture_output=True)
    return work / kind


if __name__ == "__main__":
    main()
