"""Comparisons are paired, deterministic, and agree with what can be computed exactly."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from crossrank.errors import InputError
from crossrank.evaluation import Evaluation, compare, mean_interval


def evaluation(values: list[float], measure: str = "nDCG@10") -> Evaluation:
    return Evaluation({}, {f"q{number}": {measure: value} for number, value in enumerate(values)})


def test_the_difference_is_the_step_from_a_to_b() -> None:
    comparison = compare(evaluation([0.5, 0.5, 0.2, 0.1]), evaluation([0.7, 0.4, 0.2, 0.9]))
    assert comparison.mean_a == pytest.approx(0.325)
    assert comparison.mean_b == pytest.approx(0.55)
    assert comparison.difference == pytest.approx(0.225)
    assert (comparison.queries, comparison.wins, comparison.losses, comparison.ties) == (4, 2, 1, 1)


def test_swapping_the_runs_turns_the_sign_and_keeps_the_p_value() -> None:
    random = np.random.default_rng(7)
    a, b = evaluation(random.random(40).tolist()), evaluation(random.random(40).tolist())
    forth, back = compare(a, b), compare(b, a)
    assert back.difference == pytest.approx(-forth.difference)
    assert back.interval == pytest.approx((-forth.interval[1], -forth.interval[0]))
    assert back.p_value == forth.p_value
    assert (back.wins, back.losses) == (forth.losses, forth.wins)


def test_the_same_input_gives_the_same_numbers() -> None:
    a, b = evaluation([0.1, 0.4, 0.8, 0.3]), evaluation([0.3, 0.3, 0.9, 0.6])
    assert compare(a, b) == compare(a, b)


def test_queries_are_paired_by_id_and_not_by_position() -> None:
    a = evaluation([0.1, 0.9, 0.5])
    shuffled = Evaluation({}, dict(reversed(list(a.per_query.items()))))
    comparison = compare(a, shuffled)
    assert (comparison.difference, comparison.interval, comparison.ties) == (0.0, (0.0, 0.0), 3)
    assert comparison.p_value == 1.0


def test_the_p_value_is_near_the_exact_randomisation_test() -> None:
    differences = [0.30, 0.12, -0.05, 0.22, 0.01, 0.18, -0.11, 0.09, 0.27, -0.02]
    flips = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=len(differences))]
    exact = np.mean([flip >= abs(sum(differences)) - 1e-12 for flip in flips])
    p_value = compare(evaluation([0.5] * 10), evaluation([0.5 + d for d in differences])).p_value
    assert p_value == pytest.approx(exact, abs=0.008)


def test_the_p_value_is_never_zero() -> None:
    assert compare(evaluation([0.0] * 60), evaluation([1.0] * 60)).p_value == 1 / 10_001


def test_the_interval_is_near_the_normal_one_for_many_queries() -> None:
    values = np.random.default_rng(3).random(1500)
    lower, upper = mean_interval(values.tolist())
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert lower == pytest.approx(values.mean() - half, abs=half * 0.05)
    assert upper == pytest.approx(values.mean() + half, abs=half * 0.05)


def test_rounding_errors_are_ties() -> None:
    comparison = compare(evaluation([0.3]), evaluation([0.1 + 0.2]))
    assert (comparison.wins, comparison.ties, comparison.difference) == (0, 1, 0.0)


def test_other_measures_compare_by_name() -> None:
    comparison = compare(evaluation([0.5], "MRR@10"), evaluation([1.0], "MRR@10"), "MRR@10")
    assert (comparison.measure, comparison.difference) == ("MRR@10", 0.5)


def test_evaluations_of_different_queries_are_refused() -> None:
    with pytest.raises(InputError, match=r"query 'q1' \(2 such queries\); evaluate both runs on the same"):
        compare(evaluation([0.5]), evaluation([0.5, 0.6, 0.7]))


def test_an_unknown_measure_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no measure 'ndcg'; choose one of nDCG@10"):
        compare(evaluation([0.5]), evaluation([0.5]), "ndcg")


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError, match="no queries to compare"):
        compare(Evaluation({}, {}), Evaluation({}, {}))
    with pytest.raises(InputError, match="no values"):
        mean_interval([])
