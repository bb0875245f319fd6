"""Rerank a whole run, block by block; what is done is never done again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crossrank.bulk import full_disk
from crossrank.bulk.blocks import RankedBlock, RunQuery, digest, in_blocks, packed, queries_of_run, rank_block
from crossrank.bulk.job import Job
from crossrank.bulk.passages import PassageFile, Progress
from crossrank.bulk.workers import Work, check_same, done_parts, pool_of, precision_for
from crossrank.errors import InputError
from crossrank.evaluation.collection import read_queries
from crossrank.evaluation.lines import OnBadLine, refuse
from crossrank.evaluation.runs import read_run
from crossrank.inference.arithmetic import Precision
from crossrank.inference.cross_encoder import CrossEncoder
from crossrank.models.locate import DEFAULT_CROSS_ENCODER
from crossrank.ranking.reranker import Reranker


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a job did.

    Attributes:
        output: The reranked run.
        queries: Number of queries in it.
        pairs: Number of pairs of a query and a document that were ranked this time.
        blocks: Number of blocks.
        resumed: How many of them had been done before.
        truncated: How many of the pairs were longer than the model reads.
        seconds: How long the ranking took.
        model: The cross-encoder.
        arithmetic: The arithmetic that it ran in.
        notices: Warnings, without duplicates.
    """

    output: str
    queries: int
    pairs: int
    blocks: int
    resumed: int
    truncated: int
    seconds: float
    model: str
    arithmetic: str
    notices: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def rerank_run(
    queries: str | Path,
    run: str | Path,
    collection: str | Path,
    output: str | Path,
    *,
    model: str | Path = DEFAULT_CROSS_ENCODER,
    candidates: int | None = None,
    block_size: int = 16,
    precision: Precision = "auto",
    device: str | None = None,
    ray: str | None = None,
    workers: int | None = None,
    on_bad_line: OnBadLine = refuse,
    progress: Progress = lambda *_: None,
) -> RunReport:
    """Rerank every query of a run, and write the reranked run.

    The texts that the run names are first copied out of the collection into one file, so the collection is
    never in memory. Then blocks of queries are ranked, and each is saved when it is done. After a kill, the
    same call goes on where it stopped, also with another number of workers, with Ray or without, and gives
    the same scores. Until the output is complete, everything is in the folder ``OUTPUT.parts``.

    Args:
        queries: JSON Lines (``_id``, ``text``), or ``.tsv`` with id and question.
        run: A run in TREC's format, or another that :func:`~crossrank.evaluation.read_run` reads.
        collection: JSON Lines (``_id``, ``text``, ``title``) or Parquet with these columns, one file or a
            pattern such as ``part-*.parquet``; a folder in BEIR layout; or the folder of an index.
            These three may be addresses that fsspec reads, such as ``s3://bucket/corpus.jsonl.gz``.
        output: The file to write, in TREC's format. The scores are logits. Documents that were not reranked
            follow with falling numbers, in first-stage order.
        model: A cross-encoder, by name or folder.
        candidates: How many candidates of a query to rerank; all by default.
        block_size: Number of queries in a block.
        precision: See :class:`crossrank.CrossEncoder`.
        device: See :class:`crossrank.CrossEncoder`; not with ``ray``.
        ray: The address of a Ray cluster, ``auto`` for the one that this machine belongs to, or ``local`` for
            one on this machine alone. None ranks in this process.
        workers: Number of models on the cluster; one for each machine by default.
        on_bad_line: Called with the error for an input line that cannot be used, for a query without a text,
            and for a document that the collection does not have. By default it is raised; if the call
            returns, the line, query or document is left out.
        progress: Called with what is being done, the amount done, and the total.

    Returns:
        A report.

    Raises:
        InputError: An input cannot be read or used, the parts are those of another job, another process is
            working on them, or the cluster has too few processors for the workers.
        ModelError: The model cannot be loaded.
        MissingExtraError: Ray is not installed.
        OSError: The disk is full; blocks that are done are kept.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     def write(name, text):
        ...         path = Path(folder, name)
        ...         _ = path.write_text(text)
        ...         return path
        ...     report = rerank_run(
        ...         write("queries.tsv", "q1\\tWho bakes bread?\\n"),
        ...         write("bm25.run", "q1 Q0 d1 1 2.0 bm25\\nq1 Q0 d2 2 1.0 bm25\\n"),
        ...         write("corpus.jsonl", '{"_id": "d1", "text": "Tides."}\\n'
        ...                               '{"_id": "d2", "text": "Bakers bake bread."}\\n'),
        ...         Path(folder, "reranked.run"),
        ...     )
        ...     [line.split()[2] for line in Path(folder, "reranked.run").read_text().splitlines()]
        ['d2', 'd1']
    """
    for name, number in (("candidates", candidates), ("block_size", block_size), ("workers", workers)):
        if number is not None and number < 1:
            raise InputError(f"{name} must be at least 1; it is {number}")
    if ray is None and workers is not None:
        raise InputError("workers are for Ray: give its address as ray, or leave workers out")
    if ray is not None and device is not None:
        raise InputError("device cannot be given with ray: every machine uses its processors")
    output = Path(output)
    found = queries_of_run(
        read_queries(queries, on_bad_line), read_run(run, on_bad_line=on_bad_line), candidates, on_bad_line
    )
    if not found:
        raise InputError(f"{run} has no query that {queries} has a text for")
    job, blocks = Job(output), in_blocks(found, block_size)
    with full_disk.reported(output), pool_of(ray, workers) as pool, job.claimed():
        loaded = CrossEncoder(model, precision=precision, device=device)
        job.check(_settings(loaded, found, block_size))
        passages = _passages(job, str(collection), found, on_bad_line, progress)
        done = job.done()
        todo = [number for number in range(len(blocks)) if number not in done]
        load = partial(_load, passages, blocks)
        total = sum(len(query.candidates) for query in found)
        before = sum(len(query.candidates) for number in done for query in blocks[number])
        progress("Ranking pairs", before, total)
        started = time.monotonic()
        pairs, truncated = before, 0
        notices: dict[str, None] = {}
        make = partial(_ranking, str(model), loaded.fingerprint, str(loaded.precision.arithmetic))
        work = partial(_rank, Reranker(loaded))
        for number, packed_result in done_parts(pool, todo, load, work=work, make=make):
            result = RankedBlock.unpacked(packed_result)
            job.keep(number, result.lines)
            pairs += result.pairs
            truncated += result.truncated
            notices |= dict.fromkeys(result.notices)
            progress("Ranking pairs", pairs, total)
        seconds = time.monotonic() - started
        job.finish(len(blocks))
    return RunReport(
        str(output),
        len(found),
        pairs - before,
        len(blocks),
        len(done),
        truncated,
        seconds,
        loaded.name,
        str(loaded.precision.arithmetic),
        tuple(notices),
    )


def _settings(model: CrossEncoder, queries: Sequence[RunQuery], block_size: int) -> dict[str, Any]:
    """What has to be the same when a job goes on."""
    return {
        "model": model.fingerprint,
        "arithmetic": str(model.precision.arithmetic),
        "queries and candidates": digest(queries),
        "block size": block_size,
    }


def _passages(
    job: Job, collection: str, queries: Sequence[RunQuery], on_bad_line: OnBadLine, progress: Progress
) -> PassageFile:
    wanted = {name: query.id for query in queries for name in query.candidates}
    passages = PassageFile.write(
        job.folder / "passages.sqlite", collection, wanted.keys(), on_bad_line=on_bad_line, progress=progress
    )
    for name in passages.missing(wanted):
        on_bad_line(
            InputError(
                f"the run names document {name!r} for query {wanted[name]!r}, and {collection} has none"
            )
        )
    return passages


def _load(passages: PassageFile, blocks: Sequence[Sequence[RunQuery]], number: int) -> bytes:
    block = blocks[number]
    return packed(block, passages.documents(name for query in block for name in query.candidates))


def _rank(reranker: Reranker, block: bytes) -> bytes:
    return rank_block(reranker, block).packed()


def _ranking(name: str, fingerprint: str, arithmetic: str, threads: int) -> Work:
    """A worker that ranks with the model that the job was begun with."""
    model = CrossEncoder(name, threads=threads, precision=precision_for(arithmetic))
    check_same(model, name, fingerprint, arithmetic)
    return partial(_rank, Reranker(model))
