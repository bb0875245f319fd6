"""Which judgement files load_qrels reads, and what it says about the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.evaluation import load_qrels

HEADER = "query-id\tcorpus-id\tscore\n"


def refusal(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_qrels(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "q1\td1\t2\nq1\td2\t0\nq2\td1\t-1\n",
        "q1 0 d1 2\nq1 0 d2 0\nq2 0 d1 -1\n",
        "q1\tQ0\td1\t2\nq1\tQ0\td2\t0\n\nq2\tQ0\td1\t-1",
    ],
)
def test_beir_and_trec_judgements_read_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "judgements"
    path.write_text(text)
    assert load_qrels(str(path)) == {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": -1}}


def test_ids_in_a_table_may_have_spaces(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text(HEADER + "q 1\td 1\t1\n")
    assert load_qrels(path) == {"q 1": {"d 1": 1}}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("q2\td1", "must have 3 tab-separated columns, has 2"),
        ("q2 d1 1", "must have 3 tab-separated columns, has 1"),
        ("q2\td1\t1\tx", "must have 3 tab-separated columns, has 4"),
        ("\td1\t1", "must name a query and a document"),
        ("q2\t \t1", "must name a query and a document"),
        ("q2\td1\t", "grade must be a whole number up to 1000; it is ''"),
        ("q2\td1\thigh", "grade must be a whole number up to 1000; it is 'high'"),
        ("q2\td1\t0.5", "grade must be a whole number up to 1000; it is '0.5'"),
        ("q2\td1\tnan", "grade must be a whole number up to 1000; it is 'nan'"),
        ("q2\td1\t1_0", "grade must be a whole number up to 1000; it is '1_0'"),
        ("q2\td1\t8760866", "grade must be a whole number up to 1000; it is '8760866'"),
        ("q2\td1\t" + "9" * 5000, "grade must be a whole number up to 1000; it is"),
        ("q1\td1\t1", "judges document 'd1' for query 'q1' again"),
    ],
)
def test_a_malformed_row_of_a_table_is_named_by_line(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "test.tsv"
    assert refusal(path, f"{HEADER}q1\td1\t1\n{line}\n").startswith(f"{path}:3: {complaint}")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("q2 0 d1", "must have 4 columns, has 3"),
        ("q2 Q0 d1 1 12.5 bm25", "must have 4 columns, has 6"),
        ("q2 0 d1 x", "grade must be a whole number"),
        ("q1 0 d1 0", "judges document 'd1' for query 'q1' again"),
    ],
)
def test_a_malformed_trec_line_is_named_by_line(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "qrels.txt"
    assert refusal(path, f"q1 0 d1 1\n{line}\n").startswith(f"{path}:2: {complaint}")


@pytest.mark.parametrize(
    "text", ["q1\td1\t1\n", "query-id,corpus-id,score\nq1,d1,1\n", "q1 Q0 d1 1 9.5 bm25\n"]
)
def test_another_format_is_told_which_two_there_are(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other"
    message = refusal(path, text)
    assert message.startswith(f"{path}:1: is no judgement")
    assert "'query-id corpus-id score'" in message
    assert "TREC qrels" in message


@pytest.mark.parametrize("text", ["", "\n \n", HEADER])
def test_a_file_without_judgements_is_refused(tmp_path: Path, text: str) -> None:
    assert "holds no judgement" in refusal(tmp_path / "test.tsv", text)


def test_a_path_that_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.tsv"):
        with pytest.raises(InputError, match=r"cannot be read: .*Give the path of a text file"):
            load_qrels(path)
