from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.index_state import RETRIEVALS, answers, contents
from support.processes import run_python

from crossrank.errors import InputError
from crossrank.index import Index, vectors
from crossrank.index import index as index_module
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.retrieval.base import Retrieval

QUERIES = ("the harbour at night", "who bakes bread", "rain", "how do bees find flowers")
LINES = (
    "the harbour leaves the sea at night",
    "the baker bakes bread in the city",
    "rain and tide rise with the moon",
    "bees find flowers by day, and tell",
    "families plan to lower costs this year",
)


def write_lines(folder: Path, files: int, *, first: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(first, first + files):
        (folder / f"{number:03}.txt").write_text(
            f"{LINES[number % len(LINES)]} {number}. " * (1 + number % 4)
        )
    return folder


@pytest.fixture
def built(tiny_embedder: BiEncoder, tmp_path: Path) -> Path:
    Index(tmp_path / "index", embedder=tiny_embedder).add([write_lines(tmp_path / "files", 12)])
    return tmp_path / "index"


@contextmanager
def python(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that may still run when the block begins, and has ended well when it is over."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
            _, problem = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0, problem


REPLACER = """
import sys
from pathlib import Path
from crossrank.index import Index, vectors
vectors._STALE_FEW = 2
index, files, embedder, versions = Index(sys.argv[1], embedder=sys.argv[3]), Path(sys.argv[2]), *sys.argv[3:]
for version in range(1, int(versions)):
    for number in range(4):
        parts = 2 + (version + number) % 4
        (files / f"{number}.txt").write_text("\\n\\n".join(
            f"version{version} part{part} of{parts} " + "the harbour at night " * 20 for part in range(parts)
        ))
    index.add([files])
"""


def test_readers_see_files_whole_and_of_one_version_while_a_writer_replaces_them(
    tiny_embedder: BiEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_STALE_FEW", 2)
    files = tmp_path / "files"
    files.mkdir()
    for number in range(4):
        (files / f"{number}.txt").write_text("version0 part0 of1 the harbour at night")
    index = Index(tmp_path / "index", embedder=tiny_embedder)
    index.add([files])
    seen = set()

    def look(turn: int) -> None:
        parts, versions = defaultdict(list), defaultdict(set)
        for candidate in index.retrieve("harbour", 50, retrieval=RETRIEVALS[turn % len(RETRIEVALS)]):
            document = candidate.document
            version, part, of = map(int, re.findall(r"version(\d+) part(\d+) of(\d+)", document.text)[0])
            parts[document.metadata["source"]].append(part)
            versions[document.metadata["source"]].add((version, of))
        assert len(versions) == 4
        for source, ((version, of), *others) in versions.items():
            assert not others, "passages of two versions"
            assert sorted(parts[source]) == list(range(of)), "half a file"
            seen.add(version)

    with (
        python(REPLACER, tmp_path / "index", files, tiny_embedder.name, 25) as writer,
        ThreadPoolExecutor(2) as threads,
    ):
        turn = 0
        while writer.poll() is None:
            for done in [threads.submit(look, turn + thread) for thread in range(2)]:
                done.result()
            turn += 1
    look(0)
    look(1)
    look(2)
    assert len(seen) > 5


HOLDER = """
import sys
from crossrank.index import Index
def progress(done, total):
    if done == 0:
        print("writing", flush=True)
        sys.stdin.readline()
Index(sys.argv[1], embedder=sys.argv[3]).add([sys.argv[2]], progress=progress)
"""


def test_a_second_writer_is_told_and_the_first_ones_work_is_unharmed(
    built: Path, tiny_embedder: BiEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_PATIENCE", 0.2)
    index, files = Index(built, embedder=tiny_embedder), write_lines(tmp_path / "files", 20)
    with python(HOLDER, built, files, tiny_embedder.name) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        for write in (lambda: index.add([files]), lambda: index.rm([files]), index.rebuild):
            with pytest.raises(InputError, match=f"another process is writing to {re.escape(str(built))}"):
                write()
        assert len(index.ls()) == 12
        assert answers(index, tiny_embedder)
    index.add([files])
    fresh = tmp_path / "fresh"
    Index(fresh, embedder=tiny_embedder).add([files])
    assert contents(built) == contents(fresh)


def test_a_second_thread_is_told_so_too(
    built: Path, tiny_embedder: BiEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_PATIENCE", 0.2)
    index, files = Index(built, embedder=tiny_embedder), write_lines(tmp_path / "files", 20)
    begun, go_on = threading.Event(), threading.Event()

    def progress(*_: int) -> None:
        begun.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(index.add, [files], progress=progress)
        assert begun.wait(30)
        with pytest.raises(InputError, match="is writing"):
            index.add([files])
        go_on.set()
        assert len(first.result().added) == 8


def test_a_writer_waits_for_another_that_is_soon_done(
    built: Path, tiny_embedder: BiEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_PATIENCE", 60)
    files = write_lines(tmp_path / "files", 20)
    with python(HOLDER, built, files, tiny_embedder.name) as writer, ThreadPoolExecutor(1) as threads:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "writing\n"
        second = threads.submit(Index(built, embedder=tiny_embedder).add, [files])
        with pytest.raises(TimeoutError):
            second.result(timeout=0.3)
        print("go on", file=writer.stdin, flush=True)
        assert second.result(timeout=60).unchanged == 20


# Root writes wherever it likes, unless it gives up that power, which lasts from the next program on.
POWERLESS = """
import ctypes, os, sys
if os.geteuid() == 0:
    for power in (1, 2):
        ctypes.CDLL(None).prctl(24, power, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-W", "ignore::DeprecationWarning", *sys.argv[1:]])
"""
READER = """
import json, sys
from support.index_state import RETRIEVALS
from crossrank.errors import InputError
from crossrank.index import Index
index = Index(sys.argv[1])
for line in sys.stdin:
    found = [
        [[hit.document.id, hit.score] for hit in index.retrieve(line.strip(), 10, retrieval=retrieval)]
        for retrieval in RETRIEVALS
    ]
    said = []
    for write in (lambda: index.add([sys.argv[2]]), lambda: index.rm([sys.argv[2]]), index.rebuild):
        try:
            write()
            said.append("written")
        except InputError as problem:
            said.append(str(problem))
    print(json.dumps([len(index.ls()), index.info().passages, found, said]), flush=True)
"""


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    modes = {path: path.stat().st_mode for path in [folder, *folder.iterdir()]}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)


@pytest.fixture
def powerless(tmp_path: Path) -> list[str]:
    """How a Python starts that cannot write where permissions forbid it."""
    probe = tmp_path / "probe"
    probe.mkdir(mode=0o555)
    try:
        result = subprocess.run(
            [sys.executable, "-c", POWERLESS, "-c", "open('x', 'w')"],
            cwd=probe,
            capture_output=True,
            check=False,
        )
    finally:
        probe.chmod(0o755)
    if b"PermissionError" not in result.stderr:
        pytest.skip("this user writes wherever it likes, and cannot give that up")
    return ["-c", POWERLESS]


class Reader:
    """A process that searches an index and tries to write to it."""

    def __init__(self, powerless: list[str], index: Path, files: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *powerless, "-c", READER, str(index), str(files)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, query: str) -> tuple[int, int, Any, list[str]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(query, file=self.process.stdin, flush=True)
        files, passages, found, said = json.loads(self.process.stdout.readline())
        return files, passages, found, said

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


def found_here(index: Path, embedder: BiEncoder, query: str) -> Any:
    """As a Reader finds it."""
    return [
        [[candidate.document.id, candidate.score] for candidate in found]
        for found in answers(Index(index), embedder, query)
    ]


def test_a_read_only_folder_is_searched_and_not_written(
    built: Path, powerless: list[str], tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    expected = found_here(built, tiny_embedder, "rain")
    gc.collect()
    copy = shutil.copytree(built, tmp_path / "copy", ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    with read_only(copy), Reader(powerless, copy, tmp_path / "files") as reader:
        files, passages, found, said = reader("rain")
        assert (files, passages) == (12, 12)
        assert found == expected
        assert len(said) == 3
        assert all(f"{copy} is not writable" in problem for problem in said)


def test_a_read_only_folder_with_a_log_is_searched_with_what_the_log_holds(
    built: Path, powerless: list[str], tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    files = write_lines(tmp_path / "files", 20)
    run_python(
        "import os, sys; from crossrank.index import Index\n"
        "def progress(done, total):\n    if done == total: os.kill(os.getpid(), 9)\n"
        "if not os.fork(): Index(sys.argv[1], embedder=sys.argv[3]).add([sys.argv[2]], progress=progress)\n"
        "os.wait()",
        str(built),
        str(files),
        tiny_embedder.name,
    )
    assert (built / "index.sqlite-wal").stat().st_size > 0
    copy = shutil.copytree(built, tmp_path / "copy")
    with read_only(copy), Reader(powerless, copy, files) as reader:
        said = reader("rain")
    assert said[0] == 20
    assert said[2] == found_here(built, tiny_embedder, "rain")


def test_who_may_not_write_sees_what_others_write(
    built: Path, powerless: list[str], tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    """The reader may not make the files by which SQLite shares a log; it must notice changes without."""
    files = tmp_path / "files"
    index = Index(built, embedder=tiny_embedder)
    with read_only(built), Reader(powerless, built, files) as reader:
        assert reader("rain")[0] == 12
        for number in (40, 80, 120):
            for path in built.iterdir():
                path.chmod(0o644)
            built.chmod(0o755)
            index.add([write_lines(files, number)])
            for path in built.iterdir():
                path.chmod(0o444)
            built.chmod(0o555)
            count, _, found, _ = reader("rain")
            assert count == number
            fresh = tmp_path / f"fresh-{number}"
            Index(fresh, embedder=tiny_embedder).add([files])
            assert found == found_here(fresh, tiny_embedder, "rain")


def test_a_folder_where_none_can_be_made_is_said_to_be_so(powerless: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "empty").mkdir()
    code = (
        "import sys; from crossrank.index import Index; from crossrank.errors import InputError\n"
        "try:\n    Index(sys.argv[1]).add([sys.executable])\n"
        "except InputError as problem:\n    print(problem)"
    )
    with read_only(folder), read_only(folder / "empty"):
        for index in (folder / "new", folder / "empty"):
            result = subprocess.run(
                [sys.executable, *powerless, "-c", code, str(index)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                capture_output=True,
                text=True,
                check=False,
            )
            assert "is not writable" in result.stdout, result.stderr


def open_files(folder: Path) -> int:
    """How many files in a folder this process has open."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += str(link.readlink()).startswith(str(folder))
        except FileNotFoundError:
            continue
    return count


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux says which files are open")
def test_threads_find_what_one_finds_while_another_adds_and_leave_nothing_open(
    built: Path, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    index = Index(built, embedder=tiny_embedder)
    other = tmp_path / "other"
    other.mkdir()

    def found(query: str, retrieval: Retrieval) -> list[tuple[str, float | None]]:
        """What is found of that which the writer leaves alone; nearness does not depend on the rest."""
        return [
            (candidate.document.id, candidate.evidence.get("similarity"))
            for candidate in index.retrieve(query, 30, retrieval=retrieval)
            if not candidate.document.id.startswith(str(other))
        ]

    def search(start: int) -> int:
        done = 0
        while not stop.is_set() or done < 3:
            query, retrieval = QUERIES[(start + done) % len(QUERIES)], RETRIEVALS[done % len(RETRIEVALS)]
            got = found(query, retrieval)
            # What words score depends on all passages: their order may change, not what is found.
            if retrieval == "dense":
                assert got == expected[query, retrieval]
            assert dict(got) == dict(expected[query, retrieval])
            done += 1
        return done

    stop = threading.Event()
    with ThreadPoolExecutor(1) as thread:  # one that ends: SQLite closes files when nobody has them locked
        asked = [(query, retrieval) for query in QUERIES for retrieval in RETRIEVALS]
        expected = {question: thread.submit(found, *question).result() for question in asked}
    with ThreadPoolExecutor(8) as threads:
        searches = [threads.submit(search, start) for start in range(8)]
        for number in range(15):
            (other / "x.txt").write_text("something else " * (number + 1))
            index.add([other])
        assert open_files(built) > 0
        stop.set()
        assert all(done.result() >= 3 for done in searches)
    gc.collect()
    assert open_files(built) == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux says which files are open")
def test_an_index_that_is_let_go_leaves_nothing_open(built: Path, tiny_embedder: BiEncoder) -> None:
    index = Index(built, embedder=tiny_embedder)
    answers(index, tiny_embedder)
    assert open_files(built) > 0
    del index
    gc.collect()
    assert open_files(built) == 0


FORK = """
import os, sys, traceback
from pathlib import Path
from crossrank.index import Index
from crossrank.inference.bi_encoder import BiEncoder
from support.index_state import answers

folder, files, embedder, keep = Path(sys.argv[1]), Path(sys.argv[2]), BiEncoder(sys.argv[3]), sys.argv[4]
index = Index(folder, embedder=embedder)
before = answers(index, embedder)
ready, go = os.pipe(), os.pipe()
child = os.fork()
if not child:
    status = 1
    try:
        assert answers(index, embedder) == before
        os.write(ready[1], b"1")
        assert os.read(go[0], 1) == b"1"
        for number in range(3):
            (files / f"child-{number}.txt").write_text("rain " * 30)
            index.add([files])
        found = answers(index, embedder)
        assert found != before
        assert found == answers(Index(folder, embedder=embedder), embedder)
        assert len(index.ls()) == 12 + 3 + 3, index.ls()
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)
assert os.read(ready[0], 1) == b"1"
if keep == "closes":
    index = None
for number in range(3):
    (files / f"parent-{number}.txt").write_text("who bakes bread at night " * 30)
    Index(folder, embedder=embedder).add([files])
os.write(go[1], b"1")
assert os.waitpid(child, 0)[1] == 0
if keep == "goes on":
    assert len(index.ls()) == 18
    assert answers(index, embedder) == answers(Index(folder, embedder=embedder), embedder)
"""


@pytest.mark.parametrize("keep", ["goes on", "closes"])
def test_a_forked_child_searches_and_writes_with_its_parents_index(
    keep: str, built: Path, tiny_embedder: BiEncoder, tmp_path: Path
) -> None:
    run_python(FORK, str(built), str(tmp_path / "files"), tiny_embedder.name, keep)
    assert len(contents(built)) == 18


def test_async_methods_give_what_the_others_give(tiny_embedder: BiEncoder, tmp_path: Path) -> None:
    files = write_lines(tmp_path / "files", 8)
    plain, other = (Index(tmp_path / name, embedder=tiny_embedder) for name in ("plain", "async"))

    async def go_through() -> None:
        assert await other.aadd([files], exclude=["003*"]) == plain.add([files], exclude=["003*"])
        assert await other.als() == plain.ls()
        assert await other.arm([files / "001.txt"]) == plain.rm([files / "001.txt"])
        await other.arebuild(progress=lambda *_: None)
        plain.rebuild()
        for retrieval in RETRIEVALS:
            assert await other.aretrieve("rain", 3, retrieval=retrieval) == plain.retrieve(
                "rain", 3, retrieval=retrieval
            )
        mine, theirs = await other.ainfo(), plain.info()
        assert (mine.files, mine.passages, mine.generation) == (
            theirs.files,
            theirs.passages,
            theirs.generation,
        )
        together = await asyncio.gather(*(other.aretrieve(query, 3) for query in QUERIES))
        assert together == [plain.retrieve(query, 3) for query in QUERIES]

    asyncio.run(go_through())
