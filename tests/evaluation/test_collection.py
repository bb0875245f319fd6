"""What load_collection reads, and what it says about folders that it cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossrank.documents import Document
from crossrank.errors import InputError
from crossrank.evaluation import load_collection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "toy"
    (root / "qrels").mkdir(parents=True)
    (root / "corpus.jsonl").write_text(
        '{"_id": "d1", "title": "Paris", "text": "The capital of France.", "metadata": {"url": "u"}}\n'
        '{"_id": "d2", "title": null, "text": "Ein Fluss: die Spree."}\n',
        encoding="utf-8",
    )
    (root / "queries.jsonl").write_text(
        '{"_id": "q2", "text": "which river?"}\n'
        '{"_id": "q1", "text": "capital?"}\n'
        '{"_id": "q3", "text": "not judged"}\n'
    )
    (root / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n")
    return root


def refusal(folder: Path, split: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load_collection(folder, split=split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_documents_keep_the_files_order_title_and_metadata(folder: Path) -> None:
    collection = load_collection(folder)
    assert collection.name == "toy"
    assert collection.documents == (
        Document("d1", "The capital of France.", "Paris", {"url": "u"}),
        Document("d2", "Ein Fluss: die Spree."),
    )


def test_only_queries_with_judgements_are_kept_in_the_files_order(folder: Path) -> None:
    collection = load_collection(str(folder))
    assert list(collection.queries.items()) == [("q2", "which river?"), ("q1", "capital?")]
    assert collection.qrels == {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}


def test_a_judged_document_may_be_absent_from_the_corpus(folder: Path) -> None:
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\tgone\t1\n")
    assert load_collection(folder).qrels["q1"]["gone"] == 1


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_are_read_over(folder: Path) -> None:
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    collection = load_collection(folder)
    assert len(collection.documents) == 2
    assert collection.qrels["q2"] == {"d2": 1}


def test_the_test_split_is_the_default_and_others_go_by_name(folder: Path) -> None:
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td1\t1\n")
    assert set(load_collection(folder).queries) == {"q1", "q2"}
    assert set(load_collection(folder, split="dev").queries) == {"q3"}


def test_a_single_split_is_taken_whatever_its_name(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "train.tsv")
    assert set(load_collection(folder).queries) == {"q1", "q2"}


def test_several_splits_without_test_ask_for_one(folder: Path) -> None:
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td1\t1\n")
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "train.tsv")
    assert refusal(folder).endswith("choose one of dev, train")


@pytest.mark.parametrize("split", ["dev", "", "../qrels/test"])
def test_an_unknown_split_lists_those_that_are_there(folder: Path, split: str) -> None:
    assert refusal(folder, split).endswith(f"there is no split {split!r}; choose one of test")


def test_a_missing_folder_shows_what_a_beir_folder_looks_like(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere")
    assert "nowhere is no folder" in message
    assert "qrels/SPLIT.tsv" in message


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"has no {name}; a BEIR folder holds" in refusal(folder)


def test_both_missing_files_are_named_at_once(tmp_path: Path) -> None:
    assert "has no corpus.jsonl and no queries.jsonl" in refusal(tmp_path)


def test_missing_judgements_are_named(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").unlink()
    assert "has no qrels/SPLIT.tsv" in refusal(folder)
    (folder / "qrels").rmdir()
    assert "has no qrels/SPLIT.tsv" in refusal(folder)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"_id": "d9", "text": "cut', "is not JSON"),
        ("d9\ta table instead", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('["d9", "text"]', "must be a JSON object"),
        ("null", "must be a JSON object"),
        ('{"text": "no id"}', "'_id' must be a string; it is missing"),
        ('{"_id": 9, "text": "a number"}', "'_id' must be a string; it is 9"),
        ('{"_id": "", "text": "empty id"}', "'_id' is empty"),
        ('{"_id": "d9"}', "'text' must be a string; it is missing"),
        ('{"_id": "d9", "text": null}', "'text' must be a string; it is None"),
        ('{"_id": "d9", "text": ["a"]}', "'text' must be a string; it is ['a']"),
        ('{"_id": "d9", "text": "\\ud800"}', "'text' holds a lone surrogate"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_number(
    folder: Path, name: str, line: str, complaint: str
) -> None:
    first = (folder / name).read_text(encoding="utf-8").splitlines()[0]
    (folder / name).write_text(f"{first}\n\n{line}\n", encoding="utf-8")
    assert refusal(folder).startswith(f"{folder / name}:3: {complaint}")


@pytest.mark.parametrize(
    ("field", "value"), [("title", 7), ("title", ["a"]), ("metadata", "a"), ("metadata", [1])]
)
def test_a_documents_other_fields_must_have_their_types(folder: Path, field: str, value: object) -> None:
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "d1", "text": "t", field: value}))
    assert refusal(folder).startswith(f"{folder / 'corpus.jsonl'}:1: '{field}' must be")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_an_id_that_is_there_twice_is_refused(folder: Path, name: str) -> None:
    lines = (folder / name).read_text(encoding="utf-8").splitlines()
    (folder / name).write_text("\n".join([*lines, lines[0]]), encoding="utf-8")
    assert refusal(folder).startswith(f"{folder / name}:{len(lines) + 1}: '_id' ")
    assert "a second time" in refusal(folder)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_bytes_that_are_not_utf8_are_named_by_line(folder: Path, name: str) -> None:
    path = folder / name
    first = path.read_bytes().splitlines()[0]
    path.write_bytes(first + b'\n{"_id": "d9", "text": "caf\xe9"}\n')
    assert refusal(folder).startswith(f"{path}:2: is not UTF-8")


def test_an_empty_corpus_is_refused(folder: Path) -> None:
    (folder / "corpus.jsonl").write_text("\n")
    assert "corpus.jsonl holds no document" in refusal(folder)


def test_a_judged_query_without_text_is_refused(folder: Path) -> None:
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q8\td1\t1\nq9\td1\t1\n")
    message = refusal(folder)
    assert "judges query 'q8', which queries.jsonl does not have (2 such queries)" in message
