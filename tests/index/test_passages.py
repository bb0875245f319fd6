"""Passages by their ids, and the text around them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossrank.errors import InputError, MissingPassageError
from crossrank.index import Index
from crossrank.inference.bi_encoder import BiEncoder

PARAGRAPHS = [f"Paragraph {number} of the report is about bees and bread." for number in range(40)]


@pytest.fixture
def built(tmp_path: Path, tiny_embedder: BiEncoder) -> Index:
    """An index of a text, a Markdown file, a record file and a file whose name looks like an id."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "report.txt").write_text("\n\n".join(PARAGRAPHS))
    (folder / "bread.md").write_text("---\ntitle: Bread\n---\n# Dough\n\nKnead it.\n\n# Oven\n\nBake it.\n")
    records = [{"id": "a", "text": "First bee."}, {"text": "Second bee.", "year": 2021, "deep": {"x": 1}}]
    (folder / "bees.jsonl").write_text("\n".join(map(json.dumps, records)))
    (folder / "odd#2:x#1").write_text("A file with an odd name is about tides.")
    (folder / "odd#2").write_text("Another odd name for tides.")
    like_a_path = {"id": f"{folder.resolve() / 'ids.jsonl'}-1", "text": "Bee."}
    (folder / "ids.jsonl").write_text(json.dumps(like_a_path))
    index = Index(tmp_path / "index", embedder=tiny_embedder, chunk_size=100)
    index.add([folder])
    return index


def all_passages(index: Index) -> list[str]:
    return [found.document.id for found in index.retrieve("bee bread tides", 1000)]


def test_every_id_that_a_search_returns_is_found_again(built: Index) -> None:
    found = [candidate.document for candidate in built.retrieve("bee bread tides", 1000)]
    assert len(found) > 20
    assert [built.passage(document.id) for document in found] == found


LONG = "a" * 1_000_000 + "#1"
WRONG = ["", "#", "x#1", "#1", "{}#99", "{}#1#1", "{}", "{}#-1", "{}#1 ", "{}#²", "{}#01", f"{{}}#{'9' * 25}",
         "../../etc/passwd#1", "\ud800#1", LONG, "{}%00#1", "{}\0#1"]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_an_unknown_id_is_an_error_and_reads_no_file(wrong: str, built: Index, tmp_path: Path) -> None:
    with pytest.raises(MissingPassageError, match="there is no passage"):
        built.passage(wrong.replace("{}", str(tmp_path / "files" / "report.txt")))


def test_the_text_around_a_passage_is_that_of_its_file(built: Index, tmp_path: Path) -> None:
    path = tmp_path / "files" / "report.txt"
    text = path.read_text()
    path.unlink()
    for passage_id in [one for one in all_passages(built) if "report.txt" in one]:
        found = built.passage_in_file(passage_id, characters=10_000)
        assert found.before + found.passage.text + found.after == text
        assert found.complete
        start, end = found.passage.metadata["start"], found.passage.metadata["end"]
        near = built.passage_in_file(passage_id, characters=120)
        assert text[max(0, start - 120) : start] == near.before
        assert text[end : end + 120] == near.after
        assert not near.complete


def test_the_text_around_a_passage_is_complete_at_exactly_its_length(built: Index, tmp_path: Path) -> None:
    passage_id = f"{(tmp_path / 'files' / 'report.txt').resolve()}#1"
    whole = built.passage_in_file(passage_id, characters=10_000)
    assert built.passage_in_file(passage_id, characters=len(whole.after)) == whole
    assert not built.passage_in_file(passage_id, characters=len(whole.after) - 1).complete
    assert built.passage_in_file(passage_id, characters=0).after == ""


def test_around_a_record_are_the_other_records_of_its_file(built: Index) -> None:
    [second] = [one for one in all_passages(built) if "bees.jsonl:2" in one]
    found = built.passage_in_file(second)
    assert (found.before, found.passage.text, found.after) == ("First bee.\n\n", "Second bee.", "")


def test_a_negative_number_of_characters_is_refused(built: Index) -> None:
    with pytest.raises(InputError, match="at least 0"):
        built.passage_in_file("x#1", characters=-1)


def test_lines_are_those_of_the_file_and_unknown_once_it_has_changed(built: Index, tmp_path: Path) -> None:
    found = [candidate.document for candidate in built.retrieve("bee bread tides", 1000)]
    lines = built.line_numbers(found)
    for document, line in zip(found, lines, strict=True):
        path = Path(document.metadata["file"])
        if path.suffix == ".jsonl":
            assert line is None
        else:
            assert line is not None
            assert path.read_text().split("\n")[line - 1] == document.text.split("\n")[0]
    path = tmp_path / "files" / "report.txt"
    path.write_text("New. " + path.read_text())
    (tmp_path / "files" / "bread.md").unlink()
    after = dict(zip((one.id for one in found), built.line_numbers(found), strict=True))
    assert {Path(one.split("#")[0]).name for one, line in after.items() if line} == {"odd"}


def test_no_more_than_a_search_can_wait_for_is_read_for_line_numbers(
    built: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [candidate.document for candidate in built.retrieve("bee bread tides", 1000)]
    size = (tmp_path / "files" / "report.txt").stat().st_size
    monkeypatch.setattr("crossrank.index.passages._MOST_READ", size + 5)
    ordered = sorted(found, key=lambda document: "report.txt" not in document.id)
    known = {
        Path(document.metadata["file"]).name
        for document, line in zip(ordered, built.line_numbers(ordered), strict=True)
        if line is not None
    }
    assert known == {"report.txt"}


def test_a_summary_says_what_there_is(built: Index, tmp_path: Path) -> None:
    found = built.summary()
    assert (found.files, found.documents) == (6, 7)
    assert found.passages == len(all_passages(built))
    assert found.sources == (str((tmp_path / "files").resolve()),)
    assert found.fields == ("source", "year"), "an object is no field to filter by"


def test_without_an_index_each_says_how_to_make_one(index: Index) -> None:
    for call in (index.summary, lambda: index.passage("x#1"), lambda: index.line_numbers([])):
        with pytest.raises(InputError, match="crossrank index add"):
            call()
