"""A disk that becomes full ends a job with one line; with more space, the same command goes on."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from support.bulk import RunFiles
from support.collection import Collected
from support.commands import crossrank, one_line
from support.small_disk import enlarge, fill

from crossrank.bulk import rerank_run
from crossrank.bulk.job import Job
from crossrank.evaluation import read_run
from crossrank.inference.bi_encoder import BiEncoder

ADVICE = "a disk is full; what is done is kept"


@pytest.fixture
def collected(small_disk: Path, tmp_path: Path, tiny_embedder: BiEncoder) -> Collected:
    """A collection of which only some parts fit on the disk, and an index there."""
    made = Collected.write(tmp_path, tiny_embedder)
    records = [
        {"_id": f"d{number}", "text": f"Bread {number} rises.", "metadata": {"year": 2000 + number}}
        for number in range(1500)
    ]
    made.corpus.write_text("".join(json.dumps(record) + "\n" for record in records))
    made.index = small_disk / "index"
    return made


def test_add_collection_goes_on_when_there_is_space(collected: Collected, small_disk: Path) -> None:
    command = [
        "index", "add-collection", collected.index, collected.corpus,
        "--embedder", collected.embedder.name, "--chunk-size", "60", "--part-size", "20", "--json",
    ]  # fmt: skip
    full = crossrank(*command)
    assert full.returncode == 4
    assert f"{ADVICE}: {collected.index}. Free some space and try again." in one_line(full)
    enlarge(small_disk)
    done = crossrank(*command)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert 0 < report["resumed"] < report["parts"]
    collected.check()


# For nothing; for an empty index; for some of the texts.
@pytest.mark.parametrize("left", [0, 150_000, 350_000])
def test_a_collection_is_added_later_that_there_was_no_space_for(
    left: int, collected: Collected, small_disk: Path
) -> None:
    ballast = fill(small_disk, left)
    with pytest.raises(OSError, match=ADVICE) as raised:
        collected.add(part_size=20)
    assert raised.value.errno == errno.ENOSPC
    ballast.unlink()
    enlarge(small_disk)
    assert collected.add(part_size=20).resumed == 0
    collected.check()


# For nothing; for some of the texts; for some of the blocks.
@pytest.mark.parametrize("left", [0, 12_000, 40_000])
def test_rerank_run_goes_on_when_there_is_space(
    left: int, tmp_path: Path, small_disk: Path, tiny_folder: str
) -> None:
    files = RunFiles.write(tmp_path)
    expected = files.rerank(tiny_folder)
    files.output = small_disk / "out.run"
    ballast = fill(small_disk, left)
    with pytest.raises(OSError, match=ADVICE) as raised:
        files.rerank(tiny_folder, block_size=1)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(files.output))
    done = len(Job(files.output).done())
    assert bool(done) == (left == 40_000)
    ballast.unlink()
    report = rerank_run(
        files.queries, files.run, files.collection, files.output, model=tiny_folder, block_size=1
    )
    assert (report.resumed, report.pairs) == (done, (10 - done) * 12)
    assert read_run(files.output) == expected
