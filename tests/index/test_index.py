from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

import crossrank.index.adding as adding
from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.index import Index
from crossrank.inference.bi_encoder import BiEncoder
from crossrank.text import split_documents


def names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def texts(index: Index, query: str, **options: object) -> list[str]:
    return [document.text for document, _ in index.find(query, 10, retrieval="lexical", **options)]  # type: ignore[arg-type]


def test_folder_is_added_with_all_its_files(index: Index, files: Path) -> None:
    report = index.add([files])
    assert names(report.added) == ["bees.txt", "bread.md"]
    assert (report.passages, report.unchanged, report.skipped) == (2, 0, [])
    assert [(Path(file.path).name, file.passages) for file in index.ls()] == [
        ("bees.txt", 1),
        ("bread.md", 1),
    ]


def test_passage_knows_its_file_its_span_and_what_its_format_says(index: Index, files: Path) -> None:
    index.add([files])
    ((document, _),) = index.find("bread", 5, retrieval="lexical")
    written = (files / "bread.md").read_text()
    assert document.title == "Bakers"
    assert document.metadata["source"] == str(files / "bread.md")
    assert document.metadata["year"] == 2021
    assert written[document.metadata["start"] : document.metadata["end"]] == document.text


def test_unchanged_file_is_not_opened_again(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = 1_600_000_000
    for file in files.iterdir():
        os.utime(file, (old, old))
    index.add([files])
    monkeypatch.setattr(adding, "_digest", lambda path: pytest.fail(f"{path} was opened"))
    assert index.add([files]).unchanged == 2


def test_touched_file_with_the_same_content_keeps_its_passages(index: Index, files: Path) -> None:
    index.add([files])
    generation = index.info().generation
    os.utime(files / "bees.txt", (1_600_000_000, 1_600_000_000))
    report = index.add()
    assert (report.unchanged, report.changed, index.info().generation) == (2, [], generation)


def test_file_changed_within_the_clocks_grain_is_noticed(index: Index, files: Path) -> None:
    index.add([files])
    before = (files / "bees.txt").stat()
    (files / "bees.txt").write_text("Bees find flowers by day!")  # as long as before
    os.utime(files / "bees.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert names(index.add().changed) == ["bees.txt"]


def test_changed_file_replaces_its_passages(index: Index, files: Path) -> None:
    index.add([files])
    (files / "bees.txt").write_text("Wasps find jam by day.")
    assert names(index.add().changed) == ["bees.txt"]
    assert texts(index, "wasps jam") == ["Wasps find jam by day."]
    assert texts(index, "bees flowers") == []


def test_passages_that_stay_the_same_are_not_embedded_again(
    index: Index, files: Path, tiny_embedder: BiEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [{"id": str(number), "text": f"bread number {number}"} for number in range(50)]
    lines = [json.dumps(record) for record in records]
    (files / "many.jsonl").write_text("\n".join(lines))
    index.add([files])
    embedded: list[str] = []
    encode = BiEncoder.encode_documents

    def counting(self: BiEncoder, documents: list[str], **options: object) -> object:
        embedded.extend(documents)
        return encode(self, documents, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(BiEncoder, "encode_documents", counting)
    (files / "many.jsonl").write_text("\n".join([*lines, json.dumps({"id": "new", "text": "tide"})]))
    index.add()
    assert embedded == ["tide"]


def test_vanished_file_disappears(index: Index, files: Path) -> None:
    index.add([files])
    (files / "bees.txt").unlink()
    assert names(index.add([files]).removed) == ["bees.txt"]
    assert texts(index, "bees flowers") == []


def test_adding_one_folder_leaves_the_others_as_they_are(index: Index, files: Path, tmp_path: Path) -> None:
    index.add([files])
    (files / "bees.txt").unlink()
    other = tmp_path / "other"
    other.mkdir()
    (other / "tide.txt").write_text("The tide rises.")
    assert index.add([other]).removed == []
    assert len(index.ls()) == 3


def test_removed_file_is_gone_and_stays_out_until_it_is_added_by_name(index: Index, files: Path) -> None:
    index.add([files])
    assert names(index.rm([files / "bees.txt"])) == ["bees.txt"]
    assert texts(index, "bees") == []
    index.add()
    index.add([files])  # as a job does every night
    assert texts(index, "bees") == []
    assert names(index.add([files / "bees.txt"]).added) == ["bees.txt"]
    index.add()
    assert texts(index, "bees") == ["Bees find flowers by day."]


def test_removed_subfolder_stays_out_but_for_what_is_named(index: Index, files: Path) -> None:
    (files / "sub").mkdir()
    for name in ("a", "b"):
        (files / "sub" / f"{name}.txt").write_text(f"tide {name}")
    index.add([files])
    index.rm([files / "sub"])
    index.add([files / "sub" / "a.txt"])
    index.add()
    assert texts(index, "tide") == ["tide a"]


def test_folder_that_was_removed_and_is_added_again_comes_back_whole(index: Index, files: Path) -> None:
    index.add([files])
    index.rm([files / "bees.txt"])
    index.rm([files])
    assert index.ls() == []
    assert len(index.add([files]).added) == 2


def test_removing_what_is_not_there_says_so(index: Index, files: Path) -> None:
    index.add([files])
    with pytest.raises(InputError, match=r"holds nothing at .*nowhere"):
        index.rm([files / "bees.txt", "nowhere"])
    assert len(index.ls()) == 2  # nothing was removed


def test_file_reached_twice_is_one_file(index: Index, files: Path) -> None:
    (files / "link.txt").symlink_to(files / "bees.txt")
    index.add([files, files / "bees.txt"])
    assert len(index.ls()) == 2
    index.rm([files / "bees.txt"])
    index.add()
    assert len(index.ls()) == 1


def test_link_that_leads_out_of_an_added_folder_is_reported_and_what_it_leads_to_is_not_read(
    index: Index, files: Path, tmp_path: Path
) -> None:
    (tmp_path / "private.txt").write_text("The password is swordfish.")
    (files / "link.txt").symlink_to(tmp_path / "private.txt")
    report = index.add([files])
    assert names(report.added) == ["bees.txt", "bread.md"]
    assert [str(tmp_path / "private.txt") in line for line in report.skipped] == [True]
    assert names(index.add([files / "link.txt"]).added) == ["private.txt"]


def test_an_empty_path_is_refused(index: Index, files: Path) -> None:
    index.add([files])
    for use in (index.add, index.rm):
        with pytest.raises(InputError, match="a path is empty"):
            use([""])
    assert len(index.ls()) == 2


def test_patterns_are_remembered(index: Index, files: Path) -> None:
    index.add([files], include=["*.txt"])
    (files / "tide.md").write_text("The tide.")
    (files / "moon.txt").write_text("The moon.")
    assert names(index.add().added) == ["moon.txt"]


def test_unreadable_file_is_reported_with_its_reason_and_the_rest_is_read(index: Index, files: Path) -> None:
    (files / "binary.txt").write_bytes(b"\0\1\2")
    (files / "empty.txt").write_text("")
    (files / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    report = index.add([files])
    assert names(report.added) == ["bees.txt", "bread.md"]
    assert [any(word in line for line in report.skipped) for word in ("NUL", "no text", "PDF")] == [True] * 3
    problems = {Path(file.path).name: file.problem for file in index.ls() if file.problem}
    assert set(problems) == {"binary.txt", "empty.txt", "broken.pdf"}


def test_unreadable_file_is_reported_each_time_without_being_read_again(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "binary.txt").write_bytes(b"\0")
    os.utime(files / "binary.txt", (1_600_000_000, 1_600_000_000))
    first = index.add([files]).skipped
    monkeypatch.setattr(adding, "read_documents", lambda *_, **__: pytest.fail("read again"))
    assert index.add().skipped == first != []


def test_strict_fails_at_an_unreadable_file(index: Index, files: Path) -> None:
    (files / "binary.txt").write_bytes(b"\0")
    with pytest.raises(InputError, match="NUL"):
        index.add([files], strict=True)


def test_file_of_another_type_is_counted_not_read(index: Index, files: Path) -> None:
    (files / "photo.png").write_bytes(b"\x89PNG")
    report = index.add([files], strict=True)
    assert report.unsupported == {".png": 1}
    assert report.skipped == []


def test_fifo_is_not_waited_for(index: Index, files: Path) -> None:
    os.mkfifo(files / "pipe.txt")
    index.add([files])
    (skipped,) = index.add([files / "pipe.txt"]).skipped
    assert "no regular file" in skipped


@pytest.mark.parametrize("characters", [1_000, 100_000])
def test_long_file_read_in_parts_gives_the_spans_of_the_whole(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch, characters: int
) -> None:
    monkeypatch.setattr(adding, "_PART_CHARACTERS", characters)
    monkeypatch.setattr(adding, "_PASSAGES_AT_ONCE", 4)
    text = "\n\n".join(f"Paragraph {number} of the story of the tide." * 5 for number in range(200))
    (files / "long.txt").write_text(text)
    index.add([files])
    passages = [document for document, _ in index.find("paragraph story tide", 1000, retrieval="lexical")]
    assert len(passages) == index.ls()[-1].passages
    for passage in passages:
        assert text[passage.metadata["start"] : passage.metadata["end"]] == passage.text
    if characters == 100_000:
        whole = split_documents([Document("x", text)], chunk_size=500, chunk_overlap=100)
        assert {passage.text for passage in passages} == {passage.text for passage in whole}


def test_long_file_that_turns_out_unreadable_leaves_nothing(
    index: Index, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "_PASSAGES_AT_ONCE", 4)
    lines = [json.dumps({"id": str(number), "text": f"tide {number}"}) for number in range(50)]
    (files / "records.jsonl").write_text("\n".join([*lines, "{broken"]))
    report = index.add([files])
    assert "records.jsonl:51 is not valid JSON" in report.skipped[0]
    assert texts(index, "tide") == []
    assert texts(index, "bees") == ["Bees find flowers by day."]


def test_progress_ends_with_all_bytes(index: Index, files: Path) -> None:
    told: list[tuple[int, int]] = []
    index.add([files], progress=lambda done, total: told.append((done, total)))
    total = sum(file.stat().st_size for file in files.iterdir())
    assert told[0] == (0, total)
    assert told[-1] == (total, total)


def test_add_without_paths_needs_an_index(index: Index) -> None:
    with pytest.raises(InputError, match=r"no index at .*name the files"):
        index.add()
    assert not index.path.exists()


@pytest.mark.parametrize("use", ["ls", "info", "rm", "rebuild", "find"])
def test_what_needs_an_index_says_how_to_make_one(index: Index, use: str) -> None:
    arguments = {"rm": (["x"],), "find": ("bees", 3)}.get(use, ())
    with pytest.raises(InputError, match="crossrank index add"):
        getattr(index, use)(*arguments)


def test_path_that_does_not_exist_is_refused_before_anything_is_made(index: Index) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        index.add(["nowhere"])
    assert not index.path.exists()


def test_single_path_is_refused(index: Index, files: Path) -> None:
    with pytest.raises(InputError, match="must be a list"):
        index.add(str(files))


def test_other_sizes_than_the_indexs_are_refused(index: Index, files: Path, tiny_embedder: BiEncoder) -> None:
    index.add([files])
    with pytest.raises(InputError, match="made with chunk_size 500, not 400"):
        Index(index.path, embedder=tiny_embedder, chunk_size=400).add([files])


def test_metadata_of_any_kind_survives(index: Index, files: Path) -> None:
    (files / "odd.jsonl").write_text(
        '{"text": "odd tide", "a\\"b": 1, "n": NaN, "s": "\\ud800", "big": 123456789012345678901234567890, '
        '"list": [1, {"x": null}], "é": true}\n'
        + '{"id": "deep", "text": "deep tide", "d": '
        + "[" * 450
        + "]" * 450
        + "}"
    )
    index.add([files])
    found = {document.text: document.metadata for document, _ in index.find("tide", 5, retrieval="lexical")}
    assert found["odd tide"]["list"] == [1, {"x": None}]
    assert (found["odd tide"]["n"], found["odd tide"]["s"], found["odd tide"]["é"]) == (None, "\ufffd", True)
    assert found["deep tide"]["source"] == str(files / "odd.jsonl")
    assert texts(index, "tide", filters="é=true") == ["odd tide"]


def test_records_of_two_files_with_the_same_id_are_told_apart(index: Index, files: Path) -> None:
    for name in ("one", "two"):
        (files / f"{name}.jsonl").write_text(json.dumps({"id": 1, "text": f"tide {name}"}))
    index.add([files])
    ids = {document.id for document, _ in index.find("tide", 5, retrieval="lexical")}
    assert ids == {f"{files}/one.jsonl:1#1", f"{files}/two.jsonl:1#1"}


def test_records_own_fields_do_not_pass_for_its_place(index: Index, files: Path) -> None:
    (files / "shows.csv").write_text("text,start,end,file,source\nThe tide,1000,2000,a.avi,web\n")
    index.add([files])
    ((document, _),) = index.find("tide", 1, retrieval="lexical", filters="start_>=500")
    assert document.metadata == {
        "source": "web", "start_": 1000, "end_": 2000, "file_": "a.avi",
        "file": str(files / "shows.csv"), "start": 0, "end": 8,
    }  # fmt: skip


def test_index_is_found_after_the_working_directory_changed(
    files: Path, tiny_embedder: BiEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    index = Index("index", embedder=tiny_embedder)
    index.add(["bees.txt"])
    monkeypatch.chdir(files.parent)
    assert index.find("bees", 1)


def test_info_counts(index: Index, files: Path) -> None:
    index.add([files])
    info = index.info()
    assert (info.files, info.problems, info.documents, info.passages, info.dimension) == (2, 0, 2, 2, 32)
    assert (info.vector_search, info.recall, info.chunk_size, info.format) == ("exact", 1.0, 500, 2)
    assert [source.path for source in info.sources] == [str(files)]
    assert info.bytes > 10_000


def test_async_methods_do_the_same(index: Index, files: Path) -> None:
    async def use() -> None:
        assert len((await index.aadd([files])).added) == 2
        assert await index.als() == index.ls()
        assert (await index.ainfo()).passages == 2
        assert await index.afind("bread", 2) == index.find("bread", 2)
        await index.arebuild()
        assert len(await index.arm([files])) == 2

    asyncio.run(use())
