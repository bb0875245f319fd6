"""The embedding model of an index, and whether the given one is the same."""

from __future__ import annotations

import json
import shlex
import sqlite3
import threading
from pathlib import Path

from crossrank.errors import InputError
from crossrank.index.store import setting
from crossrank.inference.arithmetic import Precision
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.models.locate import DEFAULT_BI_ENCODER


class IndexEmbedder:
    """The embedder of an index, loaded on first use.

    Args:
        index: The index's folder, for messages.
        given: The bi-encoder to use, or its name or folder; None for the index's own.
        precision: The precision to load it in, unless a loaded one was given.
    """

    def __init__(
        self, index: Path, given: str | Path | BiEncoder | None, precision: Precision = "auto"
    ) -> None:
        self._index, self._given, self._precision = index, given, precision
        self._loaded = given if isinstance(given, BiEncoder) else None
        self._lock = threading.Lock()

    def wanted(self, own: str = DEFAULT_BI_ENCODER, options: str = "{}") -> BiEncoder:
        """The embedder that was given, or else the one of this name with these options.

        Raises:
            ModelError: The embedder cannot be loaded.
        """
        name = own if self._given is None else lasting_name(self._given)
        wanted = json.loads(options) if name == own else {}
        with self._lock:
            loaded = self._loaded
            is_named = loaded is not None and lasting_name(loaded) == name
            if loaded is None or not is_named or (loaded is not self._given and loaded.options != wanted):
                loaded = self._loaded = BiEncoder(name, **wanted, precision=self._precision)
            return loaded

    def own(self, database: sqlite3.Connection) -> BiEncoder:
        """The embedder that the index was made with, identified by its fingerprint.

        Raises:
            InputError: Another embedder was given, or the model of that name has changed.
            ModelError: The embedder cannot be loaded.
        """
        name = setting(database, "embedder")
        embedder = self.wanted(name, setting(database, "embedder_options", "{}"))
        if embedder.fingerprint == setting(database, "fingerprint"):
            return embedder
        used, index = lasting_name(embedder), shlex.quote(str(self._index))
        if used == name:
            raise InputError(
                f"the embedding model {name} is no longer the one that {self._index} was made with: it gives "
                f"different vectors; embed all passages again: crossrank index rebuild {index}"
            )
        raise InputError(
            f"{self._index} was made with the embedding model {name}, not {used}; leave the embedder out, or "
            f"embed all passages again: crossrank index rebuild {index} --embedder {shlex.quote(used)}"
        )

    def keep_name(self, database: sqlite3.Connection) -> None:
        """Store the current name of the model, since its folder may have moved."""
        name = lasting_name(self.own(database))
        if name != setting(database, "embedder"):
            database.execute("UPDATE setting SET value = ? WHERE name = 'embedder'", (name,))


def lasting_name(embedder: str | Path | BiEncoder) -> str:
    """The name of an embedder; for one in a folder, the absolute path."""
    name = embedder.name if isinstance(embedder, BiEncoder) else str(embedder)
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def embedder_settings(embedder: BiEncoder) -> dict[str, str]:
    """The settings of an embedder that an index stores."""
    return {
        "embedder": lasting_name(embedder),
        "embedder_options": json.dumps(embedder.options),
        "fingerprint": embedder.fingerprint,
        "similarity": embedder.similarity,
        "dimension": str(embedder.encode_queries([""]).shape[1]),
    }
