"""Compiled models, kept in the user's cache folder: the next process maps a file instead of compiling.

Loading such a file is as much as running what it says, so only files that nobody else can have written are
loaded: folder and file have to belong to this user, and nobody else may write to them.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crossrank.families import is_registered
from crossrank.families.model import Model
from crossrank.inference.fingerprint import add_weights
from crossrank.inference.timing import machine_key
from crossrank.models.modules import Chain
from crossrank.settings import cache_folder

if TYPE_CHECKING:
    from crossrank.families.graphs.openvino_library import ov

# Smaller models are compiled in no time. The file repeats the weights, so those of larger models would fill
# the cache folder; computing with them takes far longer than compiling them, too.
_PARAMETERS = range(1_000_000, 130_000_000)
# Of all files together, in bytes; those that were not used for longest are deleted.
_ROOM = 512_000_000
# A file ends with a CRC-32 of the rest, since OpenVINO does not detect damage.
_CHECKSUM = 4


class CompiledModel:
    """One file, for one model on one kind of processor.

    Args:
        key: Determines the compiled model; files of other keys are not looked at.

    Attributes:
        path: Where it is, if it is.
    """

    def __init__(self, key: str) -> None:
        self.path = cache_folder() / "compiled" / f"{key}.blob"

    def read(self) -> NDArray[np.uint8] | None:
        """What was written, mapped into memory; None if there is nothing, or it is damaged or not ours."""
        with suppress(OSError, ValueError):
            folder = self.path.parent
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(descriptor, "rb") as file:
                if not _is_ours(os.lstat(folder)) or not _is_ours(os.fstat(file.fileno())):
                    return None
                # Private: OpenVINO wants memory that could be written to; the file stays as it is.
                content = np.memmap(file, np.uint8, mode="c")
            if len(content) > _CHECKSUM and _checksum(content[:-_CHECKSUM]) == content[-_CHECKSUM:].tobytes():
                with suppress(OSError):
                    os.utime(self.path)
                return content[:-_CHECKSUM]
        return None

    def write(self, compiled: ov.CompiledModel) -> None:
        """Keep a compiled model, if the cache folder can be written to and has room for it.

        The file appears as a whole, whichever processes write at the same time.
        """
        content = np.frombuffer(compiled.export_model().getvalue(), np.uint8)
        if len(content) > _ROOM // 2:
            return
        folder = self.path.parent
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_ours(os.lstat(folder)):
                return
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content.data)
                    file.write(_checksum(content))
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            _make_room(folder)


def compiled_model(model: Model, chain: Chain, settings: Mapping[str, object]) -> CompiledModel | None:
    """The file of a model; None for a model whose file is not kept.

    Args:
        model: The model.
        chain: The modules that it is compiled with.
        settings: What else determines the compiled model: its arithmetic and the engine's settings.
    """
    if (
        not model.has_graph
        or model.weights.parameters not in _PARAMETERS
        or is_registered(model.family)  # by other code, whose changes would not be noticed
    ):
        return None
    modules = chain.weights(model)
    files = [file for weights in (model.weights, *modules.values()) for file in weights.files]
    known = {
        "code": _code(),
        "machine": machine_key(),
        "settings": {name: str(value) for name, value in settings.items()},
        "config": model.config,
        "chain": repr(chain),
        # Pieces of the tensors tell models apart; this also tells when a single number was edited.
        "files": [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files],
    }
    digest = hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=16)
    add_weights(digest, model, *modules.values())
    return CompiledModel(digest.hexdigest())


@cache
def _code() -> str:
    """A digest of the code that makes graphs."""
    package = Path(__file__).parents[1]
    digest = hashlib.blake2b(digest_size=16)
    for room in ("families", "inference", "models"):
        for file in sorted((package / room).rglob("*.py")):
            digest.update(f"{file.relative_to(package)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _is_ours(status: os.stat_result) -> bool:
    """Whether a folder or file belongs to this user, and nobody else may write to it."""
    if sys.platform == "win32":  # the cache folder is the user's own
        return True
    others = stat.S_IWGRP | stat.S_IWOTH
    is_link = stat.S_ISLNK(status.st_mode)
    return status.st_uid == os.geteuid() and not status.st_mode & others and not is_link


def _checksum(content: NDArray[np.uint8]) -> bytes:
    return zlib.crc32(content.data).to_bytes(_CHECKSUM, "little")


def _make_room(folder: Path) -> None:
    """Delete what was not used for longest, until the rest has room."""
    newest_first: list[tuple[float, int, Path]] = []
    for file in folder.iterdir():
        with suppress(OSError):  # another process deleted it
            status = file.stat()
            newest_first.append((status.st_mtime, status.st_size, file))
    left = _ROOM
    for _, size, file in sorted(newest_first, reverse=True):
        left -= size
        if left < 0:
            with suppress(OSError):
                file.unlink()
