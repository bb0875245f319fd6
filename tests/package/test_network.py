"""Nothing phones home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "src" / "crossrank" / "samples"
# Python tells an audit hook of every name that is looked up and every address that is talked to. A socket
# that talks to nobody is let pass: urllib3, which the text splitter brings, binds one to learn of IPv6.
WATCHED = """
import sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        print("NETWORK", event, arguments, file=sys.stderr, flush=True)
sys.addaudithook(hook)
if {probe}:
    import socket; socket.socket().connect_ex(("127.0.0.1", 9))
sys.argv = ["crossrank", *{arguments!r}]
from crossrank.cli.main import main
main()
"""


def watched(*arguments: str, probe: bool = False) -> str:
    code = WATCHED.format(arguments=list(arguments), probe=probe)
    environment = {**os.environ, "CROSSRANK_OFFLINE": "1"}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    return process.stderr


def test_a_search_talks_to_nobody() -> None:
    assert "NETWORK" not in watched("search", "tides", str(SAMPLES / "texts"), "--json")


def test_a_model_that_is_not_there_is_not_looked_for_offline() -> None:
    errors = watched("check", "owner/unknown")
    assert "NETWORK" not in errors
    assert "the network is off" in errors


def test_the_watch_would_see_a_connection() -> None:
    assert "NETWORK socket.connect" in watched("--version", probe=True)
