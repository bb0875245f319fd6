from __future__ import annotations

import gc
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.index_state import answers, contents
from support.processes import run_python
from support.tiny_models import write_embedder

from crossrank.index import Index, adding, rebuilding, vectors
from crossrank.inference.bi_encoder import BiEncoder

FILES = 24
WORDS = ["bread", "town", "moon", "night", "sea", "tide", "harbour", "baker", "bees", "rain"]

# Waits for orders, each to do something to an index in a forked child and to kill that after a while. It
# imports everything once, and starts no threads itself, so that it can fork.
KILLER = """
import json, os, signal, sys, time, traceback
from pathlib import Path
import faiss, openvino
from crossrank.index import Index, adding, faiss_file, rebuilding, vectors
from crossrank.inference.bi_encoder import BiEncoder

adding._PASSAGES_AT_ONCE = rebuilding._AT_ONCE = 8
vectors._STALE_FEW = 4

def kill_in(place, folder):
    if place == "half a FAISS file":
        write = faiss.write_index
        def half(index, _):
            whole = faiss.VectorIOWriter()
            write(index, whole)
            data = faiss.vector_to_array(whole.data).tobytes()
            [partial] = Path(folder).glob("*.faiss.partial")
            partial.write_bytes(data[:len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        faiss.write_index = half
    elif place == "before old FAISS files go":
        vectors.forget_files = faiss_file.forget_files = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)

def child(order, pipe):
    embedder = BiEncoder(order["embedder"])
    embedder.encode_documents(["warm"])
    kill_in(order["place"], order["index"])
    os.write(pipe, b"0\\n")
    index, say = Index(order["index"], embedder=embedder), lambda done, _: os.write(pipe, b"%d\\n" % done)
    if order["what"] == "add":
        index.add(order["paths"], progress=say)
    elif order["what"] == "rm":
        index.rm(order["paths"])
    else:
        index.rebuild(progress=say)

for line in sys.stdin:
    order = json.loads(line)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            child(order, writing)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 2)
    start = time.perf_counter()
    while said.count(b"\\n") <= order["after"] and (more := os.read(reading, 65536)):
        said += more
    if order["seconds"] is not None:
        time.sleep(order["seconds"])
        os.kill(pid, signal.SIGKILL)
    while more := os.read(reading, 65536):
        said += more
    os.close(reading)
    status = os.waitpid(pid, 0)[1]
    lasted = time.perf_counter() - start
    numbers = [int(number) for number in said.split()]
    print(json.dumps([numbers[-1] if numbers else None, os.WIFSIGNALED(status), lasted]), flush=True)
"""


@dataclass
class Killer:
    """Does things to indexes in processes that it kills."""

    process: subprocess.Popen[str]

    def __call__(
        self,
        what: str,
        index: Path,
        embedder: BiEncoder,
        paths: list[Path],
        *,
        after: int = 0,
        seconds: float | None = None,
        place: str = "",
    ) -> tuple[int, bool, float]:
        """Give an order.

        Args:
            what: ``add``, ``rm`` or ``rebuild``.
            index: The index.
            embedder: What to load in the child.
            paths: What to add or take out.
            after: How many reports of progress to wait for before the seconds.
            seconds: When to kill; never by default.
            place: Where the child kills itself.

        Returns:
            The last progress that was reported; whether it was killed; how long it took.
        """
        order: dict[str, Any] = {"what": what, "index": str(index), "embedder": embedder.name}
        order |= {"paths": [str(path) for path in paths], "after": after, "seconds": seconds, "place": place}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        done, killed, lasted = json.loads(self.process.stdout.readline())
        assert done is not None, "the child did not start"
        return done, killed, lasted


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", KILLER],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "_PASSAGES_AT_ONCE", 8)
    monkeypatch.setattr(rebuilding, "_AT_ONCE", 8)
    monkeypatch.setattr(vectors, "_STALE_FEW", 4)


def write_files(folder: Path, version: int) -> Path:
    """Files of one passage to twenty; those of version 2 differ, with some gone and some new."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chance = random.Random(version)
    for number in range(FILES):
        if version == 2 and number % 8 == 0:
            continue
        if version == 2 and number % 8 == 1:
            chance, number = random.Random(number), number + 100
        elif version == 2 and number % 3 == 0:
            chance = random.Random(number)  # as in version 1
        else:
            chance = random.Random(number + 1000 * (version - 1))
        passages = 20 if number % 8 == 4 else chance.randint(1, 3)
        text = " ".join(chance.choice(WORDS) for _ in range(80 * passages))
        (folder / f"{number:03}.txt").write_text(f"file{number} {text}.")
    return folder


def build(index: Path, embedder: BiEncoder, *paths: Path) -> Path:
    Index(index, embedder=embedder).add(paths)
    return index


def whole_up_to(folder: Path, done: int) -> list[str]:
    """The files that are done when this many bytes are."""
    names, total = [], 0
    for path in sorted(folder.iterdir()):
        total += path.stat().st_size
        if total > done:
            break
        names.append(str(path))
    return names


def delays(lasted: float, kills: int, *, share: float = 1.0) -> list[float]:
    """Moments for kills: one in each part of the time that it takes, at random within that."""
    chance = random.Random(7)
    return [lasted * share * (part + chance.random()) / kills for part in range(kills)]


def assert_as_fresh(index: Path, fresh: Path, embedder: BiEncoder) -> None:
    assert contents(index) == contents(fresh)
    assert answers(index, embedder) == answers(fresh, embedder)


def test_killed_while_it_is_made_it_holds_whole_files_and_all_that_were_reported(
    killer: Killer, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", 1)
    fresh = build(tmp_path / "fresh", tiny_embedder, files)
    expected = contents(fresh)
    _, _, lasted = killer("add", tmp_path / "timed", tiny_embedder, [files])
    partly = 0
    moments = [(0, seconds) for seconds in delays(lasted, 4, share=0.15) + delays(lasted, 4)]
    moments += [(reports, random.Random(reports).random() * lasted / FILES) for reports in (1, 3, 6, 10, 15)]
    for number, (after, seconds) in enumerate(moments):
        index = tmp_path / f"index-{number}"
        done, _, _ = killer("add", index, tiny_embedder, [files], after=after, seconds=seconds)
        held = {}
        if (index / "index.sqlite").exists():
            held = contents(index)
            assert [file.path for file in Index(index).ls()] == list(held)
        reported = whole_up_to(files, done)
        assert set(reported) <= set(held)
        assert held == {path: expected[path] for path in held}
        partly += 0 < len(held) < FILES
        build(index, tiny_embedder, files)
        assert_as_fresh(index, fresh, tiny_embedder)
    assert partly, "no kill met an add halfway: this test tests nothing"


def test_killed_while_it_is_updated_each_file_is_as_before_or_as_it_is_now(
    killer: Killer, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", 1)
    before = build(tmp_path / "before", tiny_embedder, files)
    old = contents(before)
    write_files(files, 2)
    fresh = build(tmp_path / "fresh", tiny_embedder, files)
    new = contents(fresh)
    shutil.copytree(before, tmp_path / "timed")
    _, _, lasted = killer("add", tmp_path / "timed", tiny_embedder, [files])
    for number, seconds in enumerate(delays(lasted, 6)):
        index = shutil.copytree(before, tmp_path / f"index-{number}")
        killer("add", index, tiny_embedder, [files], seconds=seconds)
        held = contents(index)
        for path in old.keys() | new.keys():
            assert held.get(path) in (old.get(path), new.get(path))
        assert answers(index, tiny_embedder)
        build(index, tiny_embedder, files)
        assert_as_fresh(index, fresh, tiny_embedder)


def test_killed_while_files_are_taken_out_all_of_them_are_in_or_out(
    killer: Killer, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", 1)
    gone = [files / f"{number:03}.txt" for number in range(0, FILES, 2)]
    before = build(tmp_path / "before", tiny_embedder, files)
    old = contents(before)
    new = {path: held for path, held in old.items() if Path(path) not in gone}
    shutil.copytree(before, tmp_path / "timed")
    _, _, lasted = killer("rm", tmp_path / "timed", tiny_embedder, gone)
    for number, seconds in enumerate(delays(lasted, 4)):
        index = shutil.copytree(before, tmp_path / f"index-{number}")
        killer("rm", index, tiny_embedder, gone, seconds=seconds)
        assert contents(index) in (old, new)
        build(index, tiny_embedder, files, *gone)
        assert_as_fresh(index, before, tiny_embedder)


def test_killed_while_it_is_rebuilt_it_is_as_before_or_rebuilt(
    killer: Killer, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", 1)
    other = BiEncoder(write_embedder(tmp_path / "other", pooling="cls"))
    before, fresh = (
        build(tmp_path / "before", tiny_embedder, files),
        build(tmp_path / "fresh", other, files),
    )
    shutil.copytree(before, tmp_path / "timed")
    _, _, lasted = killer("rebuild", tmp_path / "timed", other, [])
    for number, seconds in enumerate(delays(lasted, 4)):
        index = shutil.copytree(before, tmp_path / f"index-{number}")
        killer("rebuild", index, other, [], seconds=seconds)
        rebuilt = Index(index).info().embedder == other.name
        assert_as_fresh(index, fresh if rebuilt else before, other if rebuilt else tiny_embedder)
        Index(index, embedder=other).rebuild()
        assert_as_fresh(index, fresh, other)


@pytest.mark.parametrize("place", ["half a FAISS file", "before old FAISS files go"])
@pytest.mark.parametrize("what", ["add", "rebuild"])
def test_killed_while_vectors_are_written_nothing_is_lost(
    what: str, place: str, killer: Killer, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", 1)
    index = build(tmp_path / "index", tiny_embedder, files)
    write_files(files, 2)
    _, killed, _ = killer(what, index, tiny_embedder, [files], place=place)
    assert killed
    if what == "rebuild":
        assert answers(index, tiny_embedder)
        build(index, tiny_embedder, files)
    fresh = build(tmp_path / "fresh", tiny_embedder, files)
    assert_as_fresh(index, fresh, tiny_embedder)
    (files / "one-more.txt").write_text("rain " * 2000)
    build(index, tiny_embedder, files)
    [file] = index.glob("vectors-*")
    assert file.suffix == ".faiss"
    assert answers(index, tiny_embedder) == answers(
        build(tmp_path / "again", tiny_embedder, files), tiny_embedder
    )


def test_a_new_index_takes_nothing_from_the_log_of_one_that_was_lost(
    killer: Killer, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", 1)
    index = build(tmp_path / "index", tiny_embedder, files)
    for number in range(6):
        (files / f"{number:03}.txt").write_text("rain " * 90)
    _, killed, _ = killer("add", index, tiny_embedder, [files], place="half a FAISS file")
    assert killed
    assert (index / "index.sqlite-wal").stat().st_size > 0
    (index / "index.sqlite").unlink()
    for path in index.glob("vectors-*"):
        path.unlink()
    build(index, tiny_embedder, files)
    assert_as_fresh(index, build(tmp_path / "fresh", tiny_embedder, files), tiny_embedder)


def test_progress_counts_a_file_once_it_is_written(
    tiny_embedder: BiEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "_PART_CHARACTERS", 1000)  # so that some files are read and written in parts
    files = write_files(tmp_path / "files", 1)
    index = Index(tmp_path / "index", embedder=tiny_embedder)
    reported = []

    def progress(done: int, total: int) -> None:
        reported.append(done)
        assert set(whole_up_to(files, done)) <= {file.path for file in index.ls() if file.passages}

    index.add([files], progress=progress)
    assert reported == sorted(reported)
    assert reported[-1] == sum(path.stat().st_size for path in files.iterdir())
    assert len(reported) > FILES


FULL = """
import resource, sys
from crossrank.index import Index, adding, vectors

index, files, embedder, room, when, what = sys.argv[1:]
adding._PASSAGES_AT_ONCE = 8
vectors._STALE_FEW = 4

def fill(room):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

index = Index(index, embedder=embedder)
index.retrieve("warm", 1)
if when == "now":
    fill(int(room))

write = vectors.write_file

def write_on_a_full_disk(*arguments):
    fill(int(room))
    write(*arguments)

if when == "at the end":
    vectors.write_file = write_on_a_full_disk

try:
    index.add([files]) if what == "add" else index.rm([files])
except Exception as error:
    print(type(error).__name__, error)
else:
    print("no error")
"""


@pytest.mark.parametrize("room", [0, 40_000, 100_000])
def test_a_full_disk_leaves_what_was_there(tiny_embedder: BiEncoder, tmp_path: Path, room: int) -> None:
    files = write_files(tmp_path / "files", 1)
    index = build(tmp_path / "index", tiny_embedder, files)
    old, found = contents(index), answers(index, tiny_embedder)
    for number in range(200, 220):
        (files / f"{number}.txt").write_text(f"file{number} " + "moon over the harbour " * 200)
    said = run_python(FULL, str(index), str(files), tiny_embedder.name, str(room), "now", "add")
    assert said.startswith("OSError ")
    assert "index.sqlite" in said
    assert "sqlite3" not in said
    held = contents(index)
    assert old.items() <= held.items()
    if room == 0:
        assert held == old
        assert answers(index, tiny_embedder) == found
    build(index, tiny_embedder, files)
    assert_as_fresh(index, build(tmp_path / "fresh", tiny_embedder, files), tiny_embedder)


def test_a_full_disk_while_files_are_taken_out_leaves_them(tiny_embedder: BiEncoder, tmp_path: Path) -> None:
    files = write_files(tmp_path / "files", 1)
    index = build(tmp_path / "index", tiny_embedder, files)
    old = contents(index)
    said = run_python(FULL, str(index), str(files), tiny_embedder.name, "0", "now", "rm")
    assert said.startswith("OSError ")
    assert contents(index) == old
    Index(index).rm([files])
    assert contents(index) == {}


def test_a_disk_too_full_for_the_vectors_file_loses_none(tiny_embedder: BiEncoder, tmp_path: Path) -> None:
    files = write_files(tmp_path / "files", 1)
    index = build(tmp_path / "index", tiny_embedder, files)
    write_files(files, 2)
    said = run_python(FULL, str(index), str(files), tiny_embedder.name, "4096", "at the end", "add")
    assert said.startswith("OSError ")
    assert "the vectors cannot be written" in said
    assert ".faiss" in said
    [kept] = index.glob("vectors-*")
    assert kept.suffix == ".faiss"
    fresh = build(tmp_path / "fresh", tiny_embedder, files)
    assert_as_fresh(index, fresh, tiny_embedder)
    build(index, tiny_embedder, files)
    assert_as_fresh(index, fresh, tiny_embedder)


@pytest.mark.parametrize("left", [0, 5_000, 20_000, 60_000])
def test_a_disk_without_room_leaves_what_was_there(
    left: int, small_disk: Path, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", 1)
    index = build(small_disk / "index", tiny_embedder, files)
    old, before = contents(index), answers(index, tiny_embedder, "file5", "file9")
    gc.collect()
    for number in range(200, 260):
        (files / f"{number}.txt").write_text(f"file{number} " + "moon over the harbour " * 200)
    ballast = small_disk / "ballast"
    free = shutil.disk_usage(small_disk).free
    ballast.write_bytes(b"0" * max(0, free - left))
    with pytest.raises(OSError, match=r"disk|cannot be written"):
        build(index, tiny_embedder, files)
    assert len(Index(index).ls()) >= FILES
    found = answers(index, tiny_embedder, "file5", "file9")
    if left == 0:
        assert found == before
    gc.collect()  # the connection
    ballast.unlink()
    assert old.items() <= contents(index).items()
    (files / "200.txt").unlink()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    build(index, tiny_embedder, files)
    assert_as_fresh(index, build(tmp_path / "fresh", tiny_embedder, files), tiny_embedder)


def test_an_index_that_no_disk_has_room_for_can_be_made_later(
    small_disk: Path, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_files(tmp_path / "files", 1)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"0" * (shutil.disk_usage(small_disk).free - 8192))
    with pytest.raises(OSError, match="disk is full"):
        build(small_disk / "index", tiny_embedder, files)
    ballast.unlink()
    build(small_disk / "index", tiny_embedder, files)
    assert_as_fresh(small_disk / "index", build(tmp_path / "fresh", tiny_embedder, files), tiny_embedder)
