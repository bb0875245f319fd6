"""A run is reranked as its queries are one by one, block by block, and goes on after a kill."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from support.bulk import QUERIES, TEXTS, RunFiles
from support.commands import crossrank

from crossrank.bulk import rerank_run
from crossrank.bulk.job import Job
from crossrank.errors import InputError, MissingFileError
from crossrank.evaluation import read_run
from crossrank.evaluation.runs import trec_order
from crossrank.index.index import Index
from crossrank.inference.cross_encoder import CrossEncoder


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles.write(tmp_path)


def test_scores_are_those_of_the_model_whatever_the_size_of_a_block(
    files: RunFiles, tiny: CrossEncoder, tiny_folder: str
) -> None:
    first = read_run(files.run)
    small = files.rerank(tiny_folder, block_size=3)
    assert files.rerank(tiny_folder, block_size=100) == small
    assert list(small) == list(QUERIES)
    for query, scores in small.items():
        ids = trec_order(query, first[query])
        logits, _ = tiny.logits([(QUERIES[query], TEXTS[name]) for name in ids])
        assert scores == pytest.approx(dict(zip(ids, map(float, logits), strict=True)), rel=1e-6)


def test_documents_below_the_candidates_follow_in_their_order(files: RunFiles, tiny_folder: str) -> None:
    first = read_run(files.run)
    for query, scores in files.rerank(tiny_folder, candidates=5).items():
        before, after = trec_order(query, first[query]), trec_order(query, scores)
        assert set(after[:5]) == set(before[:5])
        assert after[5:] == before[5:]


def test_texts_that_are_too_long_are_counted_once_for_the_run(files: RunFiles) -> None:
    collection = Path(files.collection)
    lines = [json.loads(line) for line in collection.read_text(encoding="utf-8").splitlines()]
    for document in lines:
        document["text"] = "bread " * 2000
    collection.write_text("".join(f"{json.dumps(each)}\n" for each in lines), encoding="utf-8")
    report = rerank_run(files.queries, files.run, files.collection, files.output, candidates=1)
    assert report.truncated == report.pairs == len(QUERIES)
    assert report.notices == ()


def test_collections_of_every_kind_give_the_same(files: RunFiles, tiny_folder: str, tmp_path: Path) -> None:
    expected = files.rerank(tiny_folder)
    plain = files.collection
    (tmp_path / "part-0.jsonl.gz").write_bytes(gzip.compress(Path(plain).read_bytes()))
    for collection in (f"{tmp_path}/part-*.jsonl.gz", str(tmp_path), f"file://{plain}"):
        files.collection = collection
        assert files.rerank(tiny_folder) == expected
    assert not Job(files.output).folder.exists()


def test_an_index_is_a_collection(files: RunFiles, tiny_folder: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Bread rises because yeast makes gas.\n\nThe tide is high at noon.\n")
    index = Index(tmp_path / "index", chunk_size=40, chunk_overlap=0)
    index.add([tmp_path / "notes.txt"])
    ids = [one.document.id for one in index.retrieve("bread", 5)]
    files.run.write_text("".join(f"q0 Q0 {name} {place} {9 - place} x\n" for place, name in enumerate(ids)))
    files.collection = str(tmp_path / "index")
    assert set(files.rerank(tiny_folder)["q0"]) == set(ids)
    assert len(ids) == 2


def _until_killed(files: RunFiles, tiny_folder: str, blocks: int) -> None:
    kept = 0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal kept
        if what == "Ranking pairs" and done:
            kept += 1
            if kept == blocks:
                os.kill(os.getpid(), signal.SIGKILL)

    files.rerank(tiny_folder, block_size=2, progress=progress)


def test_a_killed_job_goes_on_and_ranks_nothing_twice(files: RunFiles, tiny_folder: str) -> None:
    expected = files.rerank(tiny_folder, block_size=2)
    files.output.unlink()
    process = multiprocessing.get_context("fork").Process(target=_until_killed, args=(files, tiny_folder, 3))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not files.output.exists()
    assert Job(files.output).done() == {0, 1, 2}
    report = rerank_run(
        files.queries, files.run, files.collection, files.output, model=tiny_folder, block_size=2
    )
    assert (report.blocks, report.resumed, report.pairs) == (5, 3, 4 * 12)
    assert read_run(files.output) == expected


def test_parts_belong_to_one_job(files: RunFiles, tiny_folder: str) -> None:
    job, there = Job(files.output), files.collection
    files.collection = f"{files.folder}/gone.jsonl"
    with pytest.raises(MissingFileError, match=r"gone\.jsonl cannot be read"):
        files.rerank(tiny_folder)
    files.collection = there
    with pytest.raises(InputError, match=r"another job \(not the same: queries and candidates\)"):
        files.rerank(tiny_folder, candidates=3)
    with pytest.raises(InputError, match="not the same: model"):
        files.rerank("crossrank-minilm-l6")
    with job.claimed(), pytest.raises(InputError, match="another process is writing"):
        files.rerank(tiny_folder)
    files.rerank(tiny_folder)


def test_bad_lines_are_fatal_or_left_out_with_their_number(files: RunFiles, tiny_folder: str) -> None:
    with Path(files.collection).open("a") as stream:
        stream.write("{broken\n")
    with files.run.open("a") as stream:
        stream.write("q0 Q0 d99 13 1 bm25\nq99 Q0 d1 1 1 bm25\n")
    with pytest.raises(InputError, match="the run has query 'q99'"):
        files.rerank(tiny_folder)
    errors: list[str] = []
    found = files.rerank(tiny_folder, on_bad_line=lambda error: errors.append(str(error)))
    assert set(found) == set(QUERIES)
    assert "d99" not in found["q0"]
    assert [error for error in errors if "corpus.jsonl:31: is not JSON" in error]
    assert [error for error in errors if "document 'd99' for query 'q0'" in error]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": 0}, "candidates must be at least 1"),
        ({"block_size": 0}, "block_size must be at least 1"),
        ({"workers": 2}, "workers are for Ray"),
        ({"ray": "local", "device": "cpu"}, "device cannot be given with ray"),
    ],
)
def test_options_that_cannot_be(
    files: RunFiles, tiny_folder: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        files.rerank(tiny_folder, **options)


def test_an_output_without_a_folder(files: RunFiles, tiny_folder: str) -> None:
    files.output = files.folder / "no" / "out.run"
    with pytest.raises(InputError, match="cannot be made"):
        files.rerank(tiny_folder)


def test_the_command(files: RunFiles, tiny_folder: str) -> None:
    with files.run.open("a") as stream:
        stream.write("broken\n")
    arguments = [
        "rerank-run", "--run", files.run, "--queries", files.queries, "--collection", files.collection,
        "-o", files.output, "--model", tiny_folder,
    ]  # fmt: skip
    refused = crossrank(*arguments)
    assert refused.returncode == 2
    assert "bm25.run:121: must have 6 columns" in refused.stderr
    done = crossrank(*arguments, "--skip-bad", "--json")
    assert done.returncode == 0, done.stderr
    assert "left out: " in done.stderr
    report = json.loads(done.stdout)
    assert (report["queries"], report["pairs"], report["left_out"]) == (10, 120, 1)
    assert len(read_run(files.output)) == 10
