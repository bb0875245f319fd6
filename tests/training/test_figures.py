from __future__ import annotations

import pytest

from crossrank.training.figures import Figures
from crossrank.training.mining import TrainingList

LISTS = [
    TrainingList("a", "q", ("yes", "no", "never"), (0.9, 0.5, 0.1), 1),
    TrainingList("b", "q", ("yes", "no", "never"), (0.1, 0.5, 0.9), 1),
]


def test_rankings_are_measured_by_collection() -> None:
    figures = Figures(LISTS)
    figures.add("before", [item.targets for item in LISTS])
    assert figures.by_source("MRR@10") == {"a": {"before": 1.0}, "b": {"before": pytest.approx(1 / 3)}}


def test_a_model_that_tells_nothing_apart_gets_no_credit() -> None:
    figures = Figures(LISTS)
    figures.add("blind", [[1.0, 1.0, 1.0]] * 2)
    assert figures.evaluations["blind"].means["MRR@10"] == pytest.approx(1 / 3)


def test_a_gain_is_paired_by_question() -> None:
    figures = Figures(LISTS)
    figures.add("before", [item.targets for item in LISTS])
    figures.add("after", [[3.0, 2.0, 1.0]] * 2)
    gain = figures.gain("before", "after")
    assert (gain.wins, gain.losses, gain.ties) == (1, 0, 1)
