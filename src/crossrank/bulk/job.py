"""The folder of an unfinished job: what it is, and a file for each block that is done.

A block's file appears by an atomic rename, complete or not at all. So a job can be killed at any time, and
goes on with the blocks that have no file. This works with and without Ray; the checkpoints of Ray Data can
only be read with Ray, and their size depends on how Ray cuts the data.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossrank.bulk.full_disk import is_full
from crossrank.errors import InputError
from crossrank.files import replacing


class Job:
    """The folder of a job, ``OUTPUT.parts``.

    Args:
        output: The file that the job writes in the end.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output.with_name(f"{output.name}.parts")

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep other processes out.

        Raises:
            InputError: Another process is working on the job, or the folder cannot be made.
            OSError: The disk is full.
        """
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            if is_full(error):
                raise
            raise InputError(
                f"{self.folder} cannot be made: {error.strerror}. Name an output in a folder that exists."
            ) from error
        lock = FileLock(self.folder / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(f"another process is writing {self.output}; wait for it, or stop it") from None
        try:
            yield
        finally:
            lock.release()

    def check(self, settings: Mapping[str, Any]) -> None:
        """Keep the settings of a new job, or compare them with those of the job that is there.

        Raises:
            InputError: They differ.
        """
        file = self.folder / "job.json"
        if not file.is_file():
            _write(file, json.dumps(settings, indent=1) + "\n")
            return
        known = json.loads(file.read_text(encoding="utf-8"))
        if other := [name for name in settings if known.get(name) != settings[name]]:
            raise InputError(
                f"{self.folder} holds the parts of another job (not the same: {', '.join(other)}); delete "
                "the folder to start from the beginning, or name another output"
            )

    def done(self) -> set[int]:
        """The numbers of the blocks that are done."""
        return {int(file.stem.removeprefix("part-")) for file in self.folder.glob("part-*.run")}

    def keep(self, block: int, lines: str) -> None:
        """Save the lines of a block."""
        _write(self._part(block), lines)

    def finish(self, blocks: int) -> None:
        """Put the blocks together as the output, and remove the folder.

        Raises:
            OSError: The output cannot be written; all blocks are kept.
        """
        with replacing(self.output) as unfinished, unfinished.open("wb") as whole:
            for block in range(blocks):
                with self._part(block).open("rb") as part:
                    shutil.copyfileobj(part, whole)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _part(self, block: int) -> Path:
        return self.folder / f"part-{block:06d}.run"


def _write(file: Path, text: str) -> None:
    with replacing(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
