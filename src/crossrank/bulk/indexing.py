"""Embed a collection of any size into an index, part by part; what is done is never done again."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.bulk import full_disk
from crossrank.bulk.collection import collection_files
from crossrank.bulk.parts import PartFile, PartHead
from crossrank.bulk.passages import Progress
from crossrank.bulk.workers import Work, check_same, done_parts, pool_of, precision_for
from crossrank.errors import InputError
from crossrank.evaluation.lines import OnBadLine, refuse
from crossrank.index.embedders import lasting_name
from crossrank.index.index import Index
from crossrank.index.parts import Part, PartRecord, PartWriter
from crossrank.inference.arithmetic import Precision
from crossrank.inference.bi_encoder import BiEncoder


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """What :func:`add_collection` did.

    Attributes:
        index: The folder of the index.
        files: Number of files of the collection.
        documents: Number of documents in them.
        passages: Number of passages that were embedded this time.
        parts: Number of parts.
        resumed: How many of them were in the index before.
        seconds: How long the embedding took.
        embedder: The bi-encoder.
        arithmetic: The arithmetic that it ran in.
    """

    index: str
    files: int
    documents: int
    passages: int
    parts: int
    resumed: int
    seconds: float
    embedder: str
    arithmetic: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def add_collection(
    index: str | Path,
    collection: str | Path,
    *,
    embedder: str | Path | BiEncoder | None = None,
    precision: Precision = "auto",
    chunk_size: int | None = None,
    chunk_overlap: int | None = None,
    vectors: str | None = None,
    part_size: int = 1024,
    ray: str | None = None,
    workers: int | None = None,
    on_bad_line: OnBadLine = refuse,
    progress: Progress = lambda *_: None,
) -> CollectionReport:
    """Add a collection of any size to an index, which is created if it does not exist.

    The collection is read once, and cut into parts, which are kept in one file in the folder of the index.
    Each part is embedded, and written in one transaction. After a kill, the same call goes on with the parts
    that are not in the index, also with another number of workers, with Ray or without. The result is that
    of :meth:`crossrank.Index.add` for the same files. The index can be searched meanwhile.

    Args:
        index: The folder of the index.
        collection: JSON Lines (``_id``, ``text``, ``title``) or Parquet with these columns, one file or a
            pattern such as ``part-*.parquet``, or a folder in BEIR layout. It may be an address that fsspec
            reads, such as ``s3://bucket/corpus.jsonl.gz``.
        embedder: The bi-encoder, or its name or folder; by default the index's own, or the bundled one.
        precision: See :class:`crossrank.BiEncoder`; not for an embedder that is loaded.
        chunk_size: See :class:`crossrank.Index`; for a new index, and so are the next two.
        chunk_overlap: See :class:`crossrank.Index`.
        vectors: See :class:`crossrank.Index`.
        part_size: Number of passages in a part: what is written at once, and lost by a kill at most.
        ray: The address of a Ray cluster, ``auto`` for the one that this machine belongs to, or ``local`` for
            one on this machine alone. None embeds in this process.
        workers: Number of bi-encoders on the cluster; one for each machine by default.
        on_bad_line: Called with the error for a line that cannot be used. By default it is raised; if the
            call returns, the line is left out.
        progress: Called with what is being done, the amount done, and the total, which is 0 while it is not
            known.

    Returns:
        A report.

    Raises:
        InputError: The collection cannot be read or used, or is not the one that was begun; the index was
            made with another embedding model or other chunk sizes; another process is writing to it; or the
            cluster has too few processors for the workers.
        ModelError: The embedding model cannot be loaded.
        MissingExtraError: Ray or pyarrow is not installed.
        OSError: The disk is full, or fails; parts that are done are kept.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "corpus.jsonl").write_text('{"_id": "d1", "text": "Bakers bake bread."}')
        ...     report = add_collection(f"{folder}/index", f"{folder}/corpus.jsonl")
        ...     [candidate] = Index(f"{folder}/index").retrieve("Who bakes bread?", 1)
        >>> report.passages, candidate.document.text
        (1, 'Bakers bake bread.')
    """
    for name, number in (("part_size", part_size), ("workers", workers)):
        if number is not None and number < 1:
            raise InputError(f"{name} must be at least 1; it is {number}")
    if ray is None and workers is not None:
        raise InputError("workers are for Ray: give its address as ray, or leave workers out")
    files = collection_files(str(collection))
    target = Index(
        index,
        embedder=embedder,
        chunk_size=chunk_size,
        chunk_overlap=chunk_overlap,
        vectors=vectors,
        precision=precision,
    )
    with full_disk.reported(target.path), pool_of(ray, workers) as pool, target.adding_parts() as writer:
        parts = PartFile(target.path / "collection.sqlite")
        try:
            parts.write(
                files,
                part_size=part_size,
                chunk_size=writer.chunk_size,
                chunk_overlap=writer.chunk_overlap,
                on_bad_line=on_bad_line,
                progress=progress,
            )
            heads = parts.heads()
            if not heads:
                raise InputError(f"{collection} holds no document")
            model = writer.embedder
            arithmetic = str(model.precision.arithmetic)
            todo = _todo(writer, heads, part_size, arithmetic)
            total = sum(head.passages for head in heads)
            before = done = total - sum(heads[number].passages for number in todo)
            progress("Embedding passages", done, total)
            started = time.monotonic()
            make = partial(_embedding, lasting_name(model), model.options, model.fingerprint, arithmetic)
            work = partial(_embed, model)
            # In order, so that passages have the order of the collection.
            for number, result in done_parts(pool, todo, parts.body, work=work, make=make, in_order=True):
                head = heads[number]
                record = PartRecord(head.of_file, part_size, arithmetic, head.digest)
                part = Part.unpacked(parts.body(number))
                writer.write(head.file, record, part, _vectors(result, len(part.contents)))
                done += head.passages
                progress("Embedding passages", done, total)
            seconds = time.monotonic() - started
            for file in files:
                writer.finish(file, _size(file))
        finally:
            parts.remove()
    return CollectionReport(
        str(index),
        len(files),
        sum(head.documents for head in heads),
        done - before,
        len(heads),
        len(heads) - len(todo),
        seconds,
        model.name,
        arithmetic,
    )


def _todo(writer: PartWriter, heads: Iterable[PartHead], part_size: int, arithmetic: str) -> list[int]:
    """The numbers of the parts that are not in the index.

    Raises:
        InputError: Parts that are in the index are not those of this collection.
    """
    todo = []
    for file, ours in groupby(heads, key=lambda head: head.file):
        wanted = {head.of_file: head for head in ours}
        known = writer.known(file)
        again = f"crossrank index rm {shlex.quote(str(writer.folder))} {shlex.quote(file)}"
        for record in known:
            if record.size != part_size:
                raise InputError(
                    f"{file} was begun in parts of {record.size} passages, not {part_size}; go on with that "
                    f"part size, or take it out and begin again: {again}"
                )
            head = wanted.pop(record.number, None)
            if head is None or head.digest != record.digest:
                raise InputError(
                    f"{file} has changed since it was added (part {record.number + 1} is not the same); "
                    f"take it out and add it again: {again}"
                )
        if wanted and known and known[0].arithmetic != arithmetic:
            raise InputError(
                f"{file} was begun in {known[0].arithmetic}, and this machine computes in {arithmetic}: "
                f"vectors would differ. Go on with the precision {precision_for(known[0].arithmetic)}, or "
                f"take it out and begin again: {again}"
            )
        todo += [head.number for head in wanted.values()]
    return todo


def _embed(embedder: BiEncoder, part: bytes) -> bytes:
    return embedder.encode_documents(Part.unpacked(part).contents).astype("<f4").tobytes()


def _vectors(result: bytes, count: int) -> NDArray[np.float32]:
    return np.frombuffer(result, "<f4").reshape(count, -1)


def _embedding(name: str, options: dict[str, Any], fingerprint: str, arithmetic: str, threads: int) -> Work:
    """A worker that embeds with the model that the job was begun with."""
    model = BiEncoder(name, threads=threads, precision=precision_for(arithmetic), **options)
    check_same(model, name, fingerprint, arithmetic)
    return partial(_embed, model)


def _size(file: str) -> int:
    """The size of a file in bytes; 0 if its address does not say."""
    if "://" not in file:
        return Path(file).stat().st_size
    import fsspec

    system, path = fsspec.core.url_to_fs(file)
    return int(system.size(path) or 0)
