"""A cache of scores: pairs that were scored before are not computed again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import InputError
from crossrank.inference.pairs import Pair

IN_MEMORY = "memory"
"""Instead of a path: a cache in the memory of this process."""

_APPLICATION = 0x63727363  # 'crsc', the application id in the file's header
_MOST_IN_MEMORY, _MOST_IN_FILE = 100_000, 1_000_000
_SECONDS_TO_WAIT = 5.0
# SQLite takes no more parameters at once in old releases.
_AT_ONCE = 500


class ScoreCache:
    """Scores by what determines them: the model's content, its arithmetic, the query and the passage.

    Thread-safe. With a file, other processes may use it at the same time, and the scores are there in the
    next run. A score is found only for the same model with the same settings; if any of its files changes,
    all its pairs are computed again. Keys are digests: the texts are not stored. A damaged, full or locked
    file is no error, but its scores are computed.

    Args:
        path: The file (SQLite), which is created; None for a cache in memory.
        max_entries: How many scores are kept: in memory, those that were used last; in a file, those that
            were written last. By default 100,000 in memory (about 20 MB), and 1,000,000 in a file (about 100
            MB).

    Attributes:
        path: The file.
        hits: How many scores were found, in this process.
        misses: How many were not.

    Raises:
        InputError: The file is not a score cache or cannot be opened, or ``max_entries`` is below 1.

    Example:
        >>> from crossrank import CrossEncoder
        >>> model = CrossEncoder(score_cache="memory")
        >>> pairs = [("Who bakes bread?", "Bakers do."), ("Who bakes bread?", "A tide table.")]
        >>> first, again = model.predict(pairs), model.predict(pairs)
        >>> model.score_cache.hits, model.score_cache.misses, model.score_cache.hit_rate
        (2, 2, 0.5)
    """

    def __init__(self, path: str | Path | None = None, *, max_entries: int | None = None) -> None:
        if max_entries is not None and max_entries < 1:
            raise InputError(f"max_entries must be at least 1; it is {max_entries}")
        self.path = None if path is None else Path(path).absolute()
        self.max_entries = max_entries or (_MOST_IN_MEMORY if path is None else _MOST_IN_FILE)
        self.hits = self.misses = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()
        self._local = threading.local()
        if self.path is not None:
            _create(self.path)

    def __reduce__(self) -> tuple[_Remake, tuple[()]]:
        return _Remake(self.path, self.max_entries), ()

    @property
    def hit_rate(self) -> float | None:
        """The share of scores that were found, from 0 to 1; None before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None

    def __len__(self) -> int:
        if self.path is None:
            return len(self._entries)
        try:
            return int(self._database().execute("SELECT count(*) FROM score").fetchone()[0])
        except sqlite3.Error:
            return 0

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of keys; None for those that are not kept."""
        found = self._from_memory(keys) if self.path is None else self._from_file(keys)
        hits = sum(value is not None for value in found)
        with self._lock:
            self.hits += hits
            self.misses += len(found) - hits
        return found

    def put(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep values by their keys."""
        if self.path is not None:
            self._to_file(list(entries))
            return
        with self._lock:
            for key, value in entries:
                self._entries[key] = value
                self._entries.move_to_end(key)
            while len(self._entries) > self.max_entries:
                self._entries.popitem(last=False)

    def _from_memory(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._lock:
            for key in keys:
                if key in self._entries:
                    self._entries.move_to_end(key)
            return [self._entries.get(key) for key in keys]

    def _from_file(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found: dict[bytes, bytes] = {}
        try:
            database = self._database()
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                for key, value in database.execute(
                    f"SELECT key, value FROM score WHERE key IN ({marks})", part
                ):
                    if zlib.crc32(key + value[4:]).to_bytes(4, "little") == value[:4]:
                        found[key] = value[4:]
        except sqlite3.Error:
            pass  # whatever it is, the scores can be computed
        return [found.get(key) for key in keys]

    def _to_file(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        rows = [(key, zlib.crc32(key + value).to_bytes(4, "little") + value) for key, value in entries]
        try:
            database = self._database()
            with database:
                database.executemany("INSERT OR REPLACE INTO score (key, value) VALUES (?, ?)", rows)
                # Numbers ascend with every write, so this range has at most as many rows.
                database.execute(
                    "DELETE FROM score WHERE number <= (SELECT max(number) FROM score) - ?",
                    (self.max_entries,),
                )
        except sqlite3.Error:
            pass  # a disk that is full, or another writer that takes too long

    def _database(self) -> sqlite3.Connection:
        """This thread's connection; SQLite's are not for forked processes."""
        assert self.path is not None
        kept: tuple[int, sqlite3.Connection] | None = getattr(self._local, "kept", None)
        if kept is None or kept[0] != os.getpid():
            if kept is not None:
                _FORKED.append(kept[1])
            kept = self._local.kept = (os.getpid(), _connect(self.path))
        return kept[1]


ScoreCacheLike: TypeAlias = ScoreCache | str | Path | None


def as_score_cache(given: ScoreCacheLike) -> ScoreCache | None:
    """A cache, from ``"memory"``, the path of a file, or a cache; None for none.

    Raises:
        InputError: It is none of these, or the file cannot be used.
    """
    if given is None or isinstance(given, ScoreCache):
        return given
    if not isinstance(given, str | Path) or not str(given):
        raise InputError(f"score_cache must be 'memory', a path, or a ScoreCache; it is {given!r:.60}")
    return ScoreCache() if given == IN_MEMORY else ScoreCache(given)


class KeptScores(NamedTuple):
    """The output of a pair.

    Attributes:
        outputs: What the model returned, float32 [labels].
        truncated: How many tokens of the passage it did not read.
    """

    outputs: NDArray[np.float32]
    truncated: int


@dataclass(frozen=True, slots=True)
class ModelScores:
    """The part of a cache that belongs to one model with its settings.

    Attributes:
        cache: The cache.
        model: Everything that a score depends on besides the pair.
    """

    cache: ScoreCache
    model: bytes

    def get(self, pairs: Sequence[Pair]) -> list[KeptScores | None]:
        """What is kept of pairs; None for those that are not."""
        values = self.cache.get([self._key(pair) for pair in pairs])
        return [
            None
            if value is None
            else KeptScores(np.frombuffer(value, "<f4", offset=4), struct.unpack_from("<i", value)[0])
            for value in values
        ]

    def put(
        self, pairs: Sequence[Pair], outputs: NDArray[np.float32], truncated: Sequence[int] | NDArray[np.intp]
    ) -> None:
        """Keep the outputs of pairs, float32 [n, labels]."""
        rows = outputs.astype("<f4")
        self.cache.put(
            (self._key(pair), struct.pack("<i", int(cut)) + row.tobytes())
            for pair, row, cut in zip(pairs, rows, truncated, strict=True)
        )

    def _key(self, pair: Pair) -> bytes:
        query, passage = (text.encode("utf-8", "surrogatepass") for text in pair)
        # The length of the query separates it from the passage.
        content = struct.pack("<q", len(query)) + query + passage
        return hashlib.blake2b(content, digest_size=24, key=self.model).digest()


class _Remake(NamedTuple):
    """Makes a cache again where it is unpickled: one with a file has its scores, another is empty."""

    path: Path | None
    max_entries: int

    def __call__(self) -> ScoreCache:
        return ScoreCache(self.path, max_entries=self.max_entries)


# Connections of the parent of a forked process; closing them there could remove what the parent still uses.
_FORKED: list[sqlite3.Connection] = []


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_SECONDS_TO_WAIT, check_same_thread=False)
    database.execute("PRAGMA synchronous = OFF")  # what is lost in a power failure is computed again
    return database


def _create(path: Path) -> None:
    try:
        database = _connect(path)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            with database:
                database.execute("BEGIN IMMEDIATE")
                application = database.execute("PRAGMA application_id").fetchone()[0]
                empty = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                if not empty and application != _APPLICATION:
                    raise InputError(f"{path} is not a score cache; name another file, or a new one")
                if empty:
                    database.execute(f"PRAGMA application_id = {_APPLICATION}")
                    database.execute(
                        "CREATE TABLE score (number INTEGER PRIMARY KEY AUTOINCREMENT, "
                        "key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"
                    )
        finally:
            database.close()
    except sqlite3.Error as error:
        raise InputError(
            f"the score cache {path} cannot be used ({error}); name a file in a folder that is writable"
        ) from error
