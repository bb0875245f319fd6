"""Runs read as they were written, keep their order in trec_eval, and are refused where they are broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.evaluation import read_run, untied, write_run
from crossrank.evaluation.runs import trec_order

TABLE = "query-id\tcorpus-id\trank\tscore\n"


def refusal(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_run(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "q1 Q0 d1 1 2.5 tag\nq1 Q0 d2 2 -1e-3 tag\nq2 Q0 d1 1 7 tag\n",
        "q1\tQ0\td1\t1\t2.5\ttag\nq1\tQ0\td2\t2\t-0.001\ttag\n\nq2\tQ0\td1\t1\t7\ttag",
        TABLE + "q1\td1\t1\t2.5\nq1\td2\t2\t-0.001\nq2\td1\t1\t7.0\n",
        "score\tcorpus-id\tquery-id\n2.5\td1\tq1\n-0.001\td2\tq1\n7\td1\tq2\n",
    ],
)
def test_trec_runs_and_tables_read_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run"
    path.write_text(text)
    assert read_run(str(path)) == {"q1": {"d1": 2.5, "d2": -0.001}, "q2": {"d1": 7.0}}


def test_scores_decide_where_they_contradict_the_ranks(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("q1 Q0 d1 1 0.5 tag\nq1 Q0 d2 2 0.9 tag\n")
    assert trec_order("q1", read_run(path)["q1"]) == ["d2", "d1"]


@pytest.mark.parametrize(
    "text",
    [
        "q1\td9\t1\nq1\td2\t2\n",
        "query-id\tcorpus-id\trank\nq1\td9\t1\nq1\td2\t2\n",
        TABLE + "q1\td9\t1\t\nq1\td2\t2\t\n",
    ],
)
def test_ranks_order_a_run_without_scores(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run"
    path.write_text(text)
    assert read_run(path) == {"q1": {"d9": -1.0, "d2": -2.0}}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("q1 Q0 d2 2 high tag", "score must be a finite number up to 3e38 in size, not 'high'"),
        ("q1 Q0 d2 2 nan tag", "score must be a finite number up to 3e38 in size, not 'nan'"),
        ("q1 Q0 d2 2 -inf tag", "score must be a finite number up to 3e38 in size, not '-inf'"),
        ("q1 Q0 d2 2 1e39 tag", "score must be a finite number up to 3e38 in size, not '1e39'"),
        ("q1 Q0 d2 2 1_0 tag", "score must be a finite number up to 3e38 in size, not '1_0'"),
        ("q1 Q0 d2 2 0,5 tag", "score must be a finite number up to 3e38 in size, not '0,5'"),
        ("q1 Q0 d2 2 0.5", "must have 6 columns, has 5"),
        ("q1 Q0 d2 2 0.5 my tag", "must have 6 columns, has 7"),
        ("q1 Q0 d1 2 0.5 tag", "names document 'd1' for query 'q1' again"),
    ],
)
def test_a_malformed_trec_line_is_named_by_line(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "run"
    assert refusal(path, f"q1 Q0 d1 1 0.9 tag\n\n{line}\n").startswith(f"{path}:3: {complaint}")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("q1\td2\t2\tNaN", "score must be a finite number"),
        ("q1\td2\t2", "must have 4 columns, has 3"),
        ("q1\t\t2\t0.5", "must name a query and a document"),
        ("q1\td2\t2\t", "scores must be on every line or on none"),
        ("q1\td1\t2\t0.5", "names document 'd1' for query 'q1' again"),
    ],
)
def test_a_malformed_row_of_a_table_is_named_by_line(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "run"
    assert refusal(path, f"{TABLE}q1\td1\t1\t0.9\n{line}\n").startswith(f"{path}:3: {complaint}")


@pytest.mark.parametrize("rank", ["", "first", "1.5", "-1", "²", "99999999"])
def test_a_rank_that_must_stand_for_a_score_has_to_be_a_whole_number(tmp_path: Path, rank: str) -> None:
    path = tmp_path / "run"
    message = refusal(path, f"query-id\tcorpus-id\trank\nq1\td1\t{rank}\n")
    assert message.startswith(f"{path}:2: has no score and needs a whole number as rank, not {rank!r}")


def test_a_table_with_an_empty_score_and_no_rank_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert refusal(path, "query-id\tcorpus-id\tscore\nq1\td1\t\n").startswith(f"{path}:2: has no score")


@pytest.mark.parametrize("text", ["q1 d1\n", "q1 0 d1 2\n", "query-id\tcorpus-id\nq1\td1\n", "{}\n"])
def test_another_format_is_told_which_ones_there_are(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run"
    message = refusal(path, text)
    assert message.startswith(f"{path}:1: is no result")
    assert "TREC's six columns" in message


@pytest.mark.parametrize("text", ["", "\n", TABLE])
def test_a_file_without_results_is_refused(tmp_path: Path, text: str) -> None:
    assert "holds no result" in refusal(tmp_path / "run", text)


def test_a_missing_run_and_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "run.bin").write_bytes(b"\x1f\x8b\x08\x00\xff\xff")
    with pytest.raises(InputError, match=r"run\.bin:1: is not UTF-8"):
        read_run(tmp_path / "run.bin")
    (tmp_path / "run.gz").write_bytes(b"\x1f\x8b\x08\x00\xff\xff")
    with pytest.raises(InputError, match=r"run\.gz cannot be read"):
        read_run(tmp_path / "run.gz")


def test_compressed_runs_and_addresses_are_read(tmp_path: Path) -> None:
    import fsspec

    lines = b"q1 Q0 d1 1 2.5 tag\n"
    (tmp_path / "run.gz").write_bytes(gzip.compress(lines))
    assert read_run(tmp_path / "run.gz") == {"q1": {"d1": 2.5}}
    with fsspec.open("memory://runs/first.run", "wb") as file:
        file.write(lines)
    assert read_run("memory://runs/first.run") == {"q1": {"d1": 2.5}}
    with pytest.raises(InputError, match="nothing://run cannot be opened"):
        read_run("nothing://run")


def test_bad_lines_may_be_skipped(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(
        b"q1 Q0 d1 1 2.5 t\nq1 Q0 d1 2 2 t\n\xff\nq1 Q0 d2 3 nan t\nq1 d3\nq2 Q0 d4 1 1 t\n"
    )
    errors: list[InputError] = []
    assert read_run(tmp_path / "run", on_bad_line=errors.append) == {"q1": {"d1": 2.5}, "q2": {"d4": 1.0}}
    assert [str(error).split(":")[1] for error in errors] == ["2", "3", "4", "5"]


def test_a_written_run_ranks_from_one_by_falling_score(tmp_path: Path) -> None:
    path = tmp_path / "mine.run"
    write_run(path, {"q1": {"d1": 0.1, "d2": 0.3}, "q2": {"é": 7}}, tag="mine")
    assert path.read_text(encoding="utf-8") == (
        "q1 Q0 d2 1 0.3 mine\nq1 Q0 d1 2 0.1 mine\nq2 Q0 é 1 7.0 mine\n"
    )


def test_untied_scores_read_back_as_the_same_float(tmp_path: Path) -> None:
    run = {"q1": {"d1": 1 / 3, "d2": float(np.float32(0.1)), "d3": -1e-300}}
    write_run(tmp_path / "run", run, tag="mine")
    assert read_run(tmp_path / "run") == run


def test_numpy_scores_are_written_as_plain_numbers(tmp_path: Path) -> None:
    run = {"q1": {"d1": float(np.float64(0.5)), "d2": np.float32(0.25)}}
    write_run(tmp_path / "run", run, tag="mine")  # type: ignore[arg-type]
    assert read_run(tmp_path / "run") == {"q1": {"d1": 0.5, "d2": 0.25}}


def test_trec_eval_reads_equal_scores_in_the_written_order(tmp_path: Path) -> None:
    # Without the adjustment trec_eval ranks z first: equal scores go by id, and these two are equal in
    # single precision.
    run = {"q1": {"a": 0.9999999999, "z": 0.99999999}}
    assert ir_measures.calc_aggregate([ir_measures.RR], {"q1": {"a": 1}}, run)[ir_measures.RR] == 0.5
    write_run(tmp_path / "run", run, tag="mine")
    written = list(ir_measures.read_trec_run(str(tmp_path / "run")))  # type: ignore[no-untyped-call]
    assert ir_measures.calc_aggregate([ir_measures.RR], {"q1": {"a": 1}}, written)[ir_measures.RR] == 1.0


scores = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1.0 - 1e-9, 1.0 - 1e-8, 0.5, 1e38, -1e38, 1e-50]),
    st.floats(-1e38, 1e38, allow_nan=False),
)


@given(st.dictionaries(st.text("abc", min_size=1), scores, min_size=1))
def test_untied_keeps_the_order_and_nearly_the_scores(given_scores: dict[str, float]) -> None:
    result = untied({"q": given_scores})["q"]
    assert list(result) == sorted(given_scores, key=lambda document: -given_scores[document])
    assert trec_order("q", result) == list(result)
    for document, score in given_scores.items():
        assert result[document] == pytest.approx(score, rel=1e-7 * len(result) + 1e-7, abs=1e-40)


@given(st.dictionaries(st.text("abcé字", min_size=1), scores, min_size=1))
def test_trec_order_is_trec_evals_own(given_scores: dict[str, float]) -> None:
    order = trec_order("q", given_scores)
    for rank, document in enumerate(order[:3], start=1):
        value = ir_measures.calc_aggregate([ir_measures.RR], {"q": {document: 1}}, {"q": given_scores})
        assert value[ir_measures.RR] == pytest.approx(1 / rank)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -1e39])
def test_scores_that_are_no_finite_number_are_not_written(tmp_path: Path, score: float) -> None:
    with pytest.raises(InputError, match="document 'd1' for query 'q1' must be a finite number"):
        write_run(tmp_path / "run", {"q1": {"d1": score}}, tag="mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["", "two words", "tab\t", "line\nbreak", " lead"])
def test_ids_and_tags_that_trecs_columns_cannot_hold_are_not_written(tmp_path: Path, word: str) -> None:
    path = tmp_path / "run"
    with pytest.raises(InputError, match=r"document id .* must be one word"):
        write_run(path, {"q1": {word: 1.0}}, tag="mine")
    with pytest.raises(InputError, match=r"query id .* must be one word"):
        write_run(path, {word: {"d1": 1.0}}, tag="mine")
    with pytest.raises(InputError, match=r"tag .* must be one word"):
        write_run(path, {"q1": {"d1": 1.0}}, tag=word)
    assert list(tmp_path.iterdir()) == []


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("old")
    write_run(path, {"q1": {"d1": 1.0}}, tag="mine")
    assert read_run(path) == {"q1": {"d1": 1.0}}
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_a_refused_run_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("old")
    with pytest.raises(InputError):
        write_run(path, {"q1": {"d1": 1.0}, "q2": {"a b": 1.0}}, tag="mine")
    assert path.read_text() == "old"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "run", tmp_path / "file" / "run", tmp_path / "folder"):
        with pytest.raises(InputError, match="cannot be written"):
            write_run(path, {"q1": {"d1": 1.0}}, tag="mine")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]
