"""The measures are ir_measures' own, count every judged query, and see one ranking."""

from __future__ import annotations

import sys
from math import log2
from pathlib import Path

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError, MissingExtraError
from crossrank.evaluation import MEASURES, evaluate_run, load_qrels, read_run, untied

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

QRELS = {"q1": {"d1": 3, "d2": 0, "d3": 1, "d4": 2}, "q2": {"d1": 1, "d5": 1}}
RUN = {"q1": {"d2": 9.0, "d1": 8.0, "x": 7.0, "d3": 6.0}, "q2": {"d5": 2.0}}


def test_a_tiny_run_scores_what_one_computes_by_hand() -> None:
    values = evaluate_run(RUN, QRELS).per_query["q1"]
    gained = 3 / log2(3) + 1 / log2(5)  # d1 at rank 2, d3 at rank 4
    ideal = 3 / log2(2) + 2 / log2(3) + 1 / log2(4)
    assert values["nDCG@10"] == pytest.approx(gained / ideal)
    assert values["MRR@10"] == pytest.approx(1 / 2)
    assert values["recall@100"] == pytest.approx(2 / 3)
    assert values["Judged@10"] == pytest.approx(3 / 4)


def test_every_measure_has_a_mean_over_the_judged_queries() -> None:
    evaluation = evaluate_run(RUN, QRELS)
    assert tuple(evaluation.means) == MEASURES
    assert list(evaluation.per_query) == ["q1", "q2"]
    for measure in MEASURES:
        mean = sum(values[measure] for values in evaluation.per_query.values()) / 2
        assert evaluation.means[measure] == pytest.approx(mean)


grades = st.dictionaries(st.sampled_from([f"d{i}" for i in range(30)]), st.integers(-1, 3), min_size=1)
distinct = st.lists(st.sampled_from([f"d{i}" for i in range(30)]), unique=True, min_size=1)


@given(st.lists(grades, min_size=1, max_size=3), st.lists(distinct, min_size=1, max_size=3))
def test_runs_without_ties_score_as_in_ir_measures(
    judged: list[dict[str, int]], rankings: list[list[str]]
) -> None:
    qrels = {str(query): grade for query, grade in enumerate(judged)}
    run = {
        str(query): {doc: -float(rank) for rank, doc in enumerate(docs)}
        for query, docs in enumerate(rankings)
    }
    theirs = ir_measures.calc_aggregate(
        [ir_measures.nDCG @ 10, ir_measures.RR @ 10, ir_measures.R @ 100, ir_measures.Judged @ 10], qrels, run
    )
    ours = evaluate_run(run, qrels).means
    assert ours["nDCG@10"] == pytest.approx(theirs[ir_measures.nDCG @ 10])
    assert ours["MRR@10"] == pytest.approx(theirs[ir_measures.RR @ 10])
    assert ours["recall@100"] == pytest.approx(theirs[ir_measures.R @ 100])
    assert ours["Judged@10"] == pytest.approx(theirs[ir_measures.Judged @ 10])


def test_all_measures_break_ties_as_trec_eval_does() -> None:
    tied = {"q": {f"d{i:02}": 1.0 for i in range(11)}}
    last = evaluate_run(tied, {"q": {"d10": 1}}).per_query["q"]
    first = evaluate_run(tied, {"q": {"d00": 1}}).per_query["q"]
    assert (last["nDCG@10"], last["MRR@10"], last["Judged@10"]) == (1.0, 1.0, 0.1)
    assert (first["nDCG@10"], first["MRR@10"], first["Judged@10"]) == (0.0, 0.0, 0.0)


def test_an_untied_run_is_measured_in_its_own_order() -> None:
    tied = {"q": {f"d{i:02}": 1.0 for i in range(11)}}
    assert evaluate_run(untied(tied), {"q": {"d00": 1}}).means["MRR@10"] == 1.0


def test_a_judged_query_without_results_counts_zero() -> None:
    evaluation = evaluate_run({"q1": {"d1": 1.0}, "q2": {}}, {**QRELS, "q3": {"d1": 1}})
    assert evaluation.per_query["q2"] == dict.fromkeys(MEASURES, 0.0)
    assert evaluation.per_query["q3"] == dict.fromkeys(MEASURES, 0.0)
    assert evaluation.means["MRR@10"] == pytest.approx(1 / 3)


def test_a_run_with_no_results_at_all_scores_zero() -> None:
    assert evaluate_run({"q1": {}}, QRELS).means == dict.fromkeys(MEASURES, 0.0)


def test_queries_without_judgements_are_left_out() -> None:
    evaluation = evaluate_run({**RUN, "q9": {"d1": 1.0}}, QRELS)
    assert evaluation == evaluate_run(RUN, QRELS)


def test_any_positive_grade_is_relevant() -> None:
    values = evaluate_run({"q": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"q": {"a": 0, "b": 1, "c": 2}}).per_query[
        "q"
    ]
    assert values["MRR@10"] == 0.5
    assert values["recall@100"] == 1.0


@pytest.mark.parametrize(("run", "qrels"), [({"q9": {"d1": 1.0}}, QRELS), ({}, QRELS), (RUN, {})])
def test_a_run_of_another_collection_is_refused(
    run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]
) -> None:
    with pytest.raises(InputError, match="have no query in common: take both from the same collection"):
        evaluate_run(run, qrels)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="document 'd1' for query 'q1' must be a finite number"):
        evaluate_run({"q1": {"d1": float("nan")}}, QRELS)


def test_a_missing_ir_measures_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'crossrank\[eval\]'"):
        evaluate_run(RUN, QRELS)


@pytest.mark.shared
def test_bm25_on_trec_dl_2019_scores_as_published() -> None:
    folder = SHARED / "eval" / "trecdl19"
    if not folder.is_dir():
        pytest.skip("the judged collections are not next to this checkout")
    run, qrels = read_run(folder / "runs" / "bm25.tsv"), load_qrels(folder / "qrels.dl19-passage.txt")
    assert len(qrels) == 43
    assert evaluate_run(run, qrels).means["nDCG@10"] == pytest.approx(0.506, abs=5e-4)
