"""On a Ray cluster the scores are the same, a killed worker or driver loses nothing, and nothing hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.bulk import RunFiles
from support.collection import Collected
from support.commands import crossrank, one_line
from support.small_disk import enlarge, fill

from crossrank.bulk.job import Job
from crossrank.bulk.parts import PartFile
from crossrank.errors import InputError
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.inference.cross_encoder import CrossEncoder

# Ray warns of its own deprecated settings.
# Each of its processes takes seconds to start, and minutes on a busy machine.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]

_DRIVER = """
import sys
from pathlib import Path
from crossrank.bulk import rerank_run
queries, run, collection, output, model = sys.argv[1:]
def progress(what, done, total):
    print(what, done, total, flush=True)
rerank_run(
    queries, run, collection, output, model=model, block_size=1, ray="local", workers=2, progress=progress
)
"""
_INDEXING = """
import sys
from crossrank.bulk import add_collection
index, corpus, embedder = sys.argv[1:]
def progress(what, done, total):
    print(what, done, total, flush=True)
add_collection(index, corpus, embedder=embedder, chunk_size=60, part_size=4, ray="local", progress=progress)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for several tests, with as many processors as the pools need."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=200_000_000)
    yield
    ray.shutdown()


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles.write(tmp_path)


@pytest.fixture
def collected(tmp_path: Path, tiny_embedder: BiEncoder) -> Collected:
    return Collected.write(tmp_path.resolve(), tiny_embedder)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("workers", [1, 2])
def test_the_scores_are_those_of_one_process(files: RunFiles, tiny_folder: str, workers: int) -> None:
    expected = files.rerank(tiny_folder)
    assert files.rerank(tiny_folder, block_size=2, ray="auto", workers=workers) == expected


@pytest.mark.usefixtures("cluster")
def test_more_workers_than_processors_are_refused(files: RunFiles, tiny_folder: str) -> None:
    with pytest.raises(InputError, match=r"3 workers need a processor each, and the cluster has 2"):
        files.rerank(tiny_folder, ray="auto", workers=3)


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_loses_nothing(files: RunFiles, tiny_folder: str) -> None:
    expected = files.rerank(tiny_folder)
    killed = False

    def progress(what: str, done: int, total: int) -> None:
        nonlocal killed
        if what == "Ranking pairs" and done and not killed:
            killed = _kill_one_worker()

    assert files.rerank(tiny_folder, block_size=1, ray="auto", workers=2, progress=progress) == expected
    assert killed


@pytest.mark.usefixtures("cluster")
def test_a_slow_worker_stops_no_other(files: RunFiles, tiny_folder: str) -> None:
    expected = files.rerank(tiny_folder)
    slow = _SlowWorker()

    def progress(what: str, done: int, total: int) -> None:
        if what == "Ranking pairs" and done:
            slow.stop()
            # A worker has two blocks of twelve pairs, and all others are done without it.
            if done >= total - 2 * 12:
                slow.go_on()

    assert files.rerank(tiny_folder, block_size=1, ray="auto", workers=2, progress=progress) == expected
    assert slow.went_on


def test_a_killed_driver_goes_on_without_ray(files: RunFiles, tiny_folder: str) -> None:
    expected = files.rerank(tiny_folder)
    files.output.unlink()
    command = [
        sys.executable, "-c", _DRIVER, str(files.queries), str(files.run), files.collection,
        str(files.output), tiny_folder,
    ]  # fmt: skip
    _kill_in_the_middle(command, "Ranking pairs")
    assert not files.output.exists()
    assert Job(files.output).done()
    assert files.rerank(tiny_folder, block_size=1) == expected


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_loses_no_passage(collected: Collected) -> None:
    killed = False

    def progress(what: str, done: int, total: int) -> None:
        nonlocal killed
        if what == "Embedding passages" and done and not killed:
            killed = _kill_one_worker()

    collected.add(ray="auto", workers=2, progress=progress)
    collected.check()
    assert killed


@pytest.mark.usefixtures("cluster")
def test_a_full_disk_loses_no_passage(collected: Collected, small_disk: Path) -> None:
    collected.index = small_disk / "index"
    ballast: Path | None = None

    def progress(what: str, done: int, total: int) -> None:
        nonlocal ballast
        if what == "Embedding passages" and done and ballast is None:
            ballast = fill(small_disk, 0)

    with pytest.raises(OSError, match="a disk is full; what is done is kept"):
        collected.add(ray="auto", workers=2, progress=progress)
    assert ballast is not None
    ballast.unlink()
    enlarge(small_disk)
    report = collected.add(ray="auto", workers=2)
    assert 0 < report.resumed < report.parts
    collected.check()


@pytest.mark.usefixtures("cluster")
def test_passages_keep_their_order_behind_a_slow_worker(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, body, begun = _SlowWorker(), PartFile.body, set[int]()

    def read(parts: PartFile, number: int) -> bytes:
        begun.add(number)
        # One part is done, and the eight for each worker that may be ahead of the slow one are begun.
        if len(begun) > 8 * 2:
            slow.go_on()
        return body(parts, number)

    def progress(what: str, done: int, total: int) -> None:
        if what == "Embedding passages" and done:
            slow.stop()

    monkeypatch.setattr(PartFile, "body", read)
    report = collected.add(part_size=1, ray="auto", workers=2, progress=progress)
    assert report.parts == 30
    assert slow.went_on
    collected.check()


def test_killed_indexing_goes_on_without_ray(collected: Collected) -> None:
    command = [sys.executable, "-c", _INDEXING, *map(str, (collected.index, collected.corpus))]
    _kill_in_the_middle([*command, collected.embedder.name], "Embedding passages")
    report = collected.add()
    assert 0 < report.resumed < report.parts
    collected.check()


@pytest.mark.usefixtures("cluster")
def test_too_few_processors_are_refused_before_anything_is_made(collected: Collected) -> None:
    with pytest.raises(InputError, match="3 workers need a processor each"):
        collected.add(ray="auto", workers=3)
    assert not collected.index.exists()


@pytest.mark.usefixtures("cluster")
def test_a_worker_with_another_embedder_is_refused(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collected.embedder, "fingerprint", "another")
    with pytest.raises(
        InputError, match=r"the machine \S+ cannot work on this: the model \S+ is another one"
    ):
        collected.add(ray="auto", workers=1)
    monkeypatch.undo()


def _kill_in_the_middle(command: list[str], task: str) -> None:
    """Start a driver, and kill it when a part of the task is done."""
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert driver.stdout is not None
    for line in driver.stdout:
        if line.startswith(task) and int(line.split()[-2]):
            break
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    _kill_session(driver.pid)  # some of Ray's own processes outlive their driver


def _kill_session(leader: int) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        number = int(process.name)
        with suppress(OSError):
            if number != os.getpid() and os.getsid(number) == leader:
                os.kill(number, signal.SIGKILL)


def _workers() -> Iterator[int]:
    """The processes of workers."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::") and b"_Worker" in command:
            yield int(process.name)


class _SlowWorker:
    """A worker that does nothing for a while."""

    def __init__(self) -> None:
        self._others = set(_workers())  # of the test before
        self._process: int | None = None
        self.went_on = False

    def stop(self) -> None:
        """Stop a worker, the first time."""
        if self._process is None:
            self._process = next(process for process in _workers() if process not in self._others)
            os.kill(self._process, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it work."""
        if self._process is not None and not self.went_on:
            os.kill(self._process, signal.SIGCONT)
            self.went_on = True


def _kill_one_worker() -> bool:
    for process in _workers():
        os.kill(process, signal.SIGKILL)
        time.sleep(0.1)
        return True
    return False


@pytest.mark.usefixtures("cluster")
def test_a_worker_with_another_model_is_refused(
    files: RunFiles, tiny_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CrossEncoder, "fingerprint", "another")
    with pytest.raises(
        InputError, match=r"the machine \S+ cannot work on this: the model \S+ is another one there"
    ):
        files.rerank(tiny_folder, ray="auto", workers=1)


def test_an_address_without_a_cluster(files: RunFiles, tiny_folder: str) -> None:
    done = crossrank(
        "rerank-run", "--run", files.run, "--queries", files.queries, "--collection", files.collection,
        "-o", files.output, "--model", tiny_folder, "--ray", "127.0.0.1:1",
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no Ray cluster at 127.0.0.1:1" in one_line(done)
