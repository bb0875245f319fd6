"""Which files an index follows: what vanishes, what stays, and what cannot be read just now."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import crossrank.index.adding as adding
from crossrank.documents import Document
from crossrank.errors import InputError, MissingExtraError
from crossrank.index import Index
from crossrank.inference.bi_encoder import BiEncoder


def names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def texts(index: Index, query: str) -> list[str]:
    return [candidate.document.text for candidate in index.retrieve(query, 10, retrieval="lexical")]


def test_file_that_was_added_by_name_and_vanished_disappears(index: Index, files: Path) -> None:
    index.add([files / "bees.txt", files / "bread.md"])
    (files / "bees.txt").unlink()
    assert names(index.add(strict=True).removed) == ["bees.txt"]
    (files / "bees.txt").write_text("Bees again.")
    assert names(index.add().added) == ["bees.txt"]


def test_folder_that_was_deleted_disappears(index: Index, files: Path) -> None:
    index.add([files])
    shutil.rmtree(files)
    assert len(index.add().removed) == 2


@pytest.mark.parametrize("mount_point", ["missing", "missing above", "empty"])
def test_drive_that_is_not_mounted_keeps_its_passages_and_is_reported(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mount_point: str
) -> None:
    drive = tmp_path / "mnt" / "drive"
    (drive / "notes").mkdir(parents=True)
    (drive / "notes" / "bees.txt").write_text("Bees find flowers.")
    index.add([drive if mount_point == "empty" else drive / "notes"])
    shutil.rmtree(drive if mount_point == "missing above" else drive / "notes")
    if mount_point == "empty":
        monkeypatch.setattr(adding, "is_unmounted", lambda source: source.device is not None)
    report = index.add()
    assert report.removed == []
    assert "what the index has of it stays" in report.skipped[0]
    assert texts(index, "bees") == ["Bees find flowers."]
    with pytest.raises(InputError, match="stays"):
        index.add(strict=True)


def test_folder_that_is_empty_on_the_same_drive_was_emptied(index: Index, files: Path) -> None:
    index.add([files])
    for file in files.iterdir():
        file.unlink()
    assert len(index.add().removed) == 2


def test_files_of_a_folder_that_cannot_be_read_just_now_stay(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "sub").mkdir()
    (files / "sub" / "tide.txt").write_text("The tide.")
    index.add([files])
    scan = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "sub":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    report = index.add()
    assert (report.removed, len(report.skipped)) == ([], 1)
    assert texts(index, "tide") == ["The tide."]
    with pytest.raises(InputError, match="sub cannot be read"):
        index.add(strict=True)


def test_file_whose_name_is_not_utf8_is_reported_and_the_rest_is_read(index: Index, files: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(files) + b"/\xff.txt")).write_text("text")
    except OSError:
        pytest.skip("this file system takes no such names")
    report = index.add([files])
    assert len(report.added) == 2
    assert "not UTF-8" in report.skipped[0]


def test_file_that_a_missing_library_would_read_is_tried_again(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add([files])
    (files / "bees.txt").write_text("Changed.")

    def lacking(*_: object, **__: object) -> Iterator[Document]:
        raise MissingExtraError("reading", "docx")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(adding, "read_documents", lacking)
        assert "crossrank[docx]" in index.add().skipped[0]
    assert texts(index, "bees") == ["Bees find flowers by day."]  # as before
    assert "crossrank[docx]" in str({file.problem for file in index.ls()})
    assert names(index.add().changed) == ["bees.txt"]
    assert {file.problem for file in index.ls()} == {None}


def test_file_that_cannot_be_opened_keeps_its_passages_and_is_listed(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add([files])
    (files / "bees.txt").write_text("Changed.")
    (files / "new.txt").write_text("New.")

    def refused(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(adding, "_digest", refused)
        index.add()
    problems = {Path(file.path).name: (file.passages, file.problem) for file in index.ls()}
    assert problems["bees.txt"][0] == 1
    assert "Permission denied" in str(problems["bees.txt"][1])
    assert problems["new.txt"][0] == 0
    assert "Permission denied" in str(problems["new.txt"][1])
    assert index.add().skipped == []
    assert sorted(texts(index, "changed new")) == ["Changed.", "New."]


def test_file_that_changes_while_it_is_read_is_read_again(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = adding.read_documents

    def changing(path: Path, **options: Any) -> Iterator[Document]:
        if path.name == "bees.txt":
            path.write_text("Wasps find jam by day.")
        documents = list(read(path, **options))
        if path.name == "bees.txt":
            path.write_text("Bees find flowers by day.")
        yield from documents

    with monkeypatch.context() as patch:
        patch.setattr(adding, "read_documents", changing)
        index.add([files])
    assert texts(index, "wasps jam") == ["Wasps find jam by day."]
    index.add()
    assert texts(index, "wasps jam") == []
    assert texts(index, "bees") == ["Bees find flowers by day."]


def test_file_of_two_sources_stays_until_neither_means_it(index: Index, files: Path) -> None:
    (files / "sub").mkdir()
    (files / "sub" / "tide.txt").write_text("The tide.")
    index.add([files, files / "sub"])
    assert index.add([files], exclude=["sub/"]).removed == []
    assert index.add().unchanged == 3
    assert len(index.rm([files / "sub"])) == 1


@pytest.mark.parametrize("change", ["moved", "grown", "copied"])
def test_only_new_words_are_embedded(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(adding, "_PASSAGES_AT_ONCE", 16)
    lines = [json.dumps({"id": str(number), "text": f"bread number {number}"}) for number in range(50)]
    (files / "long.jsonl").write_text("\n".join(lines))
    index.add([files])
    embedded: list[str] = []
    encode = BiEncoder.encode_documents

    def counting(self: BiEncoder, documents: list[str], **options: Any) -> Any:
        embedded.extend(documents)
        return encode(self, documents, **options)

    monkeypatch.setattr(BiEncoder, "encode_documents", counting)
    if change == "moved":
        (files / "long.jsonl").rename(files / "longer.jsonl")
    elif change == "copied":
        shutil.copyfile(files / "long.jsonl", files / "twice.jsonl")
    else:
        (files / "long.jsonl").write_text("\n".join([*lines, json.dumps({"id": "x", "text": "tide"})]))
    index.add()
    assert embedded == (["tide"] if change == "grown" else [])
    assert len(index.retrieve("bread", 200, retrieval="dense")) > 50


def test_index_within_the_folder_is_not_indexed(files: Path, tiny_embedder: BiEncoder) -> None:
    index = Index(files / "index", embedder=tiny_embedder)
    index.add([files])
    assert index.add().unsupported == {}


def test_patterns_stay_where_none_are_given(index: Index, files: Path) -> None:
    index.add([files], include=["*.txt"])
    assert index.add([files]).added == []
    assert index.info().sources[0].include == ("*.txt",)
    assert names(index.add([files], include=["*.md"]).added) == ["bread.md"]


def test_what_was_taken_out_is_shown(index: Index, files: Path) -> None:
    index.add([files])
    index.rm([files / "bees.txt"])
    assert index.info().removed == (str(files / "bees.txt"),)


@pytest.mark.parametrize("patterns", ["*.md", ["!"]])
def test_patterns_that_are_none_are_refused_and_not_kept(index: Index, files: Path, patterns: Any) -> None:
    index.add([files])
    with pytest.raises(InputError, match="pattern"):
        index.add([files], include=patterns)
    assert index.add().unchanged == 2


def test_paths_may_be_any_iterable(index: Index, files: Path) -> None:
    with pytest.raises(InputError, match="nope does not exist"):
        index.add(path for path in ["nope"])
    assert len(index.add(path for path in [files]).added) == 2
