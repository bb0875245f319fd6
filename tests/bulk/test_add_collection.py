"""A collection is added in parts, each whole or not at all; the index is that of a plain add."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.collection import RECORDS, Collected
from support.commands import crossrank, one_line

from crossrank.errors import InputError, MissingFileError
from crossrank.inference.bi_encoder import BiEncoder


@pytest.fixture
def collected(tmp_path: Path, tiny_embedder: BiEncoder) -> Collected:
    return Collected.write(tmp_path.resolve(), tiny_embedder)


@pytest.mark.parametrize("part_size", [1, 4, 1000])
def test_the_index_is_that_of_a_plain_add_whatever_the_size_of_a_part(
    collected: Collected, part_size: int
) -> None:
    report = collected.add(part_size=part_size)
    assert (report.files, report.documents, report.resumed) == (1, 30, 0)
    assert report.passages == collected.opened().info().passages
    collected.check()
    assert not (collected.index / "collection.sqlite").exists()


def test_what_is_in_the_index_is_not_embedded_again(collected: Collected) -> None:
    first = collected.add()
    again = collected.add()
    assert (again.passages, again.resumed, again.parts) == (0, first.parts, first.parts)
    collected.check()


def _until_killed(collected: Collected, parts: int) -> None:
    kept = 0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal kept
        if what == "Embedding passages" and done:
            kept += 1
            if kept == parts:
                os.kill(os.getpid(), signal.SIGKILL)

    collected.add(progress=progress)


def test_a_killed_job_goes_on_and_embeds_nothing_twice(collected: Collected) -> None:
    process = multiprocessing.get_context("fork").Process(target=_until_killed, args=(collected, 3))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert collected.opened().retrieve("bread", 3)
    report = collected.add()
    assert report.resumed == 3
    collected.check()


def test_a_part_and_its_record_are_written_together(collected: Collected) -> None:
    collected.add()
    with closing(sqlite3.connect(collected.index / "index.sqlite")) as database:
        # The next record cannot be written, so neither can its passages.
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON part WHEN NEW.number = 2 "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    collected.opened().rm([collected.corpus])
    with pytest.raises(InputError):
        collected.add()
    with closing(sqlite3.connect(collected.index / "index.sqlite")) as database:
        database.execute("DROP TRIGGER full")
        (parts,) = database.execute("SELECT count(*) FROM part").fetchone()
    assert parts == 2
    assert collected.add().resumed == 2
    collected.check()


def test_other_files_and_addresses(collected: Collected) -> None:
    first, second = (collected.corpus.with_name(f"part-{number}.jsonl.gz") for number in range(2))
    lines = collected.corpus.read_bytes().splitlines(keepends=True)
    first.write_bytes(gzip.compress(b"".join(lines[:10])))
    second.write_bytes(gzip.compress(b"".join(lines[10:])))
    report = collected.add(first.with_name("part-*.jsonl.gz"))
    assert (report.files, report.documents) == (2, 30)
    assert collected.add(f"file://{second}").passages == 0
    files = collected.opened().ls()
    assert [(file.path, file.size) for file in files] == [
        (str(file), file.stat().st_size) for file in (first, second)
    ]
    assert collected.opened().summary().sources == (str(first), str(second))
    assert collected.add(collected.corpus.parent).documents == 30


def test_an_address_is_added_and_taken_out(collected: Collected) -> None:
    import fsspec

    address = "memory://collections/corpus.jsonl"
    with fsspec.open(address, "wb") as stream:
        stream.write(collected.corpus.read_bytes())
    collected.add(address)
    assert crossrank("index", "rm", collected.index, address).returncode == 0
    assert collected.opened().info().passages == 0
    assert collected.add(address).resumed == 0


def test_a_changed_collection_is_refused(collected: Collected) -> None:
    collected.add()
    lines = [json.dumps(record) for record in RECORDS]
    lines[-1] = lines[-1].replace("bread", "cake")
    collected.corpus.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"has changed since it was added \(part \d+ is not the same\)"):
        collected.add()
    collected.corpus.write_text("\n".join(lines[:5]))
    with pytest.raises(InputError, match=r"crossrank index rm \S+index \S+corpus.jsonl"):
        collected.add()
    collected.opened().rm([collected.corpus])
    assert collected.add().documents == 5


def test_another_embedder_part_size_or_chunk_size_is_refused(collected: Collected) -> None:
    collected.add()
    with pytest.raises(InputError, match="was made with the embedding model"):
        collected.add(embedder="all-MiniLM-L6-v2")
    with pytest.raises(InputError, match="was begun in parts of 4 passages, not 5"):
        collected.add(part_size=5)
    with pytest.raises(InputError, match="was made with chunk_size 60, not 80"):
        collected.add(chunk_size=80)


def test_a_job_goes_on_in_its_arithmetic(collected: Collected) -> None:
    collected.add()
    with closing(sqlite3.connect(collected.index / "index.sqlite")) as database:
        database.execute("UPDATE part SET arithmetic = 'bfloat16'")
        database.commit()
    assert collected.add().passages == 0  # nothing is left to embed
    with collected.corpus.open("a") as stream:
        stream.write("".join(json.dumps({"_id": f"n{place}", "text": "New."}) + "\n" for place in range(9)))
    with closing(sqlite3.connect(collected.index / "index.sqlite")) as database:
        database.execute("DELETE FROM part WHERE number = (SELECT max(number) FROM part)")
        database.commit()
    with pytest.raises(InputError, match=r"was begun in bfloat16, .*the precision bfloat16"):
        collected.add()


def test_a_file_is_added_in_one_way(collected: Collected) -> None:
    collected.opened().add([collected.corpus])
    with pytest.raises(InputError, match=r"crossrank index rm \S+ \S+corpus.jsonl"):
        collected.add(chunk_size=None)
    collected.opened().rm([collected.corpus])
    collected.add(chunk_size=None)
    report = collected.opened().add([collected.corpus.parent])
    assert [line for line in report.skipped if "add-collection" in line]
    assert collected.opened().info().documents == 30


def test_bad_lines_are_fatal_or_left_out_with_their_number(collected: Collected) -> None:
    with collected.corpus.open("ab") as stream:
        stream.write(
            b'{broken\n{"_id": "d1", "text": "Again."}\n{"_id": "x", "text": " "}\n\xff\n{"text": 1}\n'
        )
    with pytest.raises(InputError, match=r"corpus\.jsonl:31 is not valid JSON"):
        collected.add()
    errors: list[str] = []
    report = collected.add(on_bad_line=lambda error: errors.append(str(error)))
    assert report.documents == 30
    assert [error.removeprefix(str(collected.corpus))[:22] for error in errors] == [
        ":31 is not valid JSON ",
        ":32: the id 'd1' is th",
        ":33 holds no text",
        ":34: is not UTF-8; sav",
        ":35 needs a string in ",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"part_size": 0}, "part_size must be at least 1"), ({"workers": 2}, "workers are for Ray")],
)
def test_options_that_cannot_be(collected: Collected, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        collected.add(**options)


def test_collections_that_are_not_there(collected: Collected) -> None:
    collected.corpus.unlink()
    with pytest.raises(MissingFileError, match="there is no file"):
        collected.add()
    with pytest.raises(InputError, match=r"it holds no corpus\.jsonl"):
        collected.add(collected.corpus.parent)
    collected.corpus.write_text("\n")
    with pytest.raises(InputError, match="holds no document"):
        collected.add()


def test_the_command(collected: Collected) -> None:
    with collected.corpus.open("a") as stream:
        stream.write("broken\n")
    arguments = [
        "index",
        "add-collection",
        collected.index,
        collected.corpus,
        "--embedder",
        collected.embedder.name,
    ]
    refused = crossrank(*arguments)
    assert refused.returncode == 2
    assert "corpus.jsonl:31 is not valid JSON" in one_line(refused)
    done = crossrank(*arguments, "--skip-bad", "--part-size", "7", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["documents"], report["left_out"]) == (30, 1)
    assert (
        "30 documents of 1 files, 0 passages"
        in crossrank(*arguments, "--skip-bad", "--part-size", "7").stdout
    )
